package sessionstore

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/serde"
)

// none is the bound of a session that does not exist.
const none = -1

// lastSession is what is known of the sessions of a key.
type lastSession struct {
	serde.Window       // the last session, by end; its bounds are none if there is none
	before       int64 // no other session of the key has a larger end
}

// then returns what is known after a session with a larger end.
func (l lastSession) then(w serde.Window) lastSession {
	return lastSession{w, max(l.before, l.End)}
}

// latest remembers the last session of keys. Most records belong to it, or come after it,
// so that the rows need not be searched. It is a cache of two generations: when the young
// one is full, the old one goes.
type latest struct {
	budget     *engine.Budget
	young, old map[string]*lastSession
	counted    [2]int64 // bytes of young and old
}

// of returns the last session of a key, nil if it is not known.
func (l *latest) of(key []byte) *lastSession {
	if s := l.young[string(key)]; s != nil {
		return s
	}
	return l.old[string(key)]
}

const (
	leastRoom  = 1024 // keys that a generation has room for at least
	entryBytes = 96   // of a key in a map, beside its bytes
)

// set remembers the last session of a key. room is how many keys a generation may hold:
// the number of rows in memory, which is bounded.
func (l *latest) set(key []byte, s lastSession, room int) {
	if len(l.young) >= max(room, leastRoom) {
		l.turn()
	}
	if l.young == nil {
		l.young = map[string]*lastSession{}
	}
	if l.young[string(key)] == nil {
		n := int64(entryBytes + len(key))
		l.counted[0] += n
		l.budget.Cache(n)
	}
	l.young[string(key)] = &s
}

// turn makes the young generation the old one.
func (l *latest) turn() {
	l.budget.Cache(-l.counted[1])
	l.old, l.young = l.young, nil
	l.counted = [2]int64{0, l.counted[0]}
}

// merged takes in a session that stands for all those which share a time with it.
func (l *latest) merged(key []byte, w serde.Window) {
	s := l.of(key)
	switch {
	case s == nil:
	case w.End < s.Start: // it lies before the last session
		s.before = max(s.before, w.End)
	case w.Start > s.End: // it comes after the last session
		*s = s.then(w)
	default: // it took in the last session; those that it did not take in end before it
		*s = lastSession{w, min(s.before, w.Start)}
	}
}

// forget forgets what is known of a key.
func (l *latest) forget(key []byte) {
	delete(l.young, string(key))
	delete(l.old, string(key))
}

// close gives the memory back.
func (l *latest) close() {
	l.turn()
	l.turn()
}
