package sessionstore

import "github.com/millrace-streams/millrace/serde"

// none is the bound of a session that does not exist.
const none = -1

// lastSession is what is known of the sessions of a key. Most records belong to the last
// session of their key, or come after it, so that the rows need not be searched.
type lastSession struct {
	serde.Window       // the last session, by end; its bounds are none if there is none
	before       int64 // no other session of the key has a larger end
}

// then returns what is known after a session with a larger end.
func (l lastSession) then(w serde.Window) lastSession {
	return lastSession{w, max(l.before, l.End)}
}

// merged takes in a session that stands for all those which share a time with it.
func (l *lastSession) merged(w serde.Window) {
	switch {
	case w.End < l.Start: // it lies before the last session
		l.before = max(l.before, w.End)
	case w.Start > l.End: // it comes after the last session
		*l = l.then(w)
	default: // it took in the last session; those that it did not take in end before it
		*l = lastSession{w, min(l.before, w.Start)}
	}
}
