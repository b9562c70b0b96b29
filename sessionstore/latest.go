package sessionstore

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/serde"
)

// none is the bound of a session that does not exist.
const none = -1

// lastSession is the known part of a key's sessions. Most records belong to the last
// session of their key or come after it, and then the rows need not be searched.
type lastSession struct {
	serde.Window             // the last one by end; its bounds are none if there is none
	before       int64       // no other session of the key has a larger end
	mark         engine.Mark // of the row of the last session
}

// then returns the knowledge after a session with a larger end was added.
func (l lastSession) then(w serde.Window) lastSession {
	return lastSession{Window: w, before: max(l.before, l.End)}
}

// merged adds a session that replaces all sessions that share a time with it.
func (l *lastSession) merged(w serde.Window) {
	switch {
	case w.End < l.Start: // it lies before the last session
		l.before = max(l.before, w.End)
	case w.Start > l.End: // it comes after the last session
		*l = l.then(w)
	default: // it replaced the last session; any other session ends before it
		*l = lastSession{Window: w, before: min(l.before, w.Start)}
	}
}
