package store

import (
	"encoding/binary"
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
)

// Session is the kind of the stores of package sessionstore: rows by key, end and start
// of a session, in the layout [SessionLayout].
var Session = &Kind{
	Name:      "session",
	Noun:      "session store",
	Changelog: WindowedChangelog,
	Segmented: true,
	Migrates:  true,
	rowKey:    sessionRowKey,
	queryKey:  sessionQueryKey,
	windows:   sessionReads,
	logged:    loggedSession,
	restore:   restoreSession,
}

// restoreSession restores a row of a session store.
func restoreSession(s *Spec, b *engine.TableBatch, key []byte, row engine.Stored) error {
	if _, err := loggedSession(s, key); err != nil {
		return err
	}
	interval, err := b.Interval(s.Segments())
	if err != nil {
		return err
	}
	return restoreRow(s, b, NewSessionLayout(interval).AppendLocal(nil, key), row)
}

// loggedSession is Kind.logged of session stores.
func loggedSession(_ *Spec, changelogKey []byte) ([]byte, error) {
	n := len(changelogKey) - sessionBounds
	if n < 0 {
		return nil, fmt.Errorf("%w: its key has %d bytes, fewer than the %d of a session's end and start", ErrForeignRow, len(changelogKey), sessionBounds)
	}
	if end, start := boundsOf(changelogKey[n:]); start < 0 || end < start {
		return nil, fmt.Errorf("%w: its key %q has the impossible session from %d ms to %d ms", ErrForeignRow, changelogKey, start, end)
	}
	return changelogKey[:n], nil
}

// CheckSessions returns what is wrong with the times of a session store.
func CheckSessions(s *Spec) []error { return checkRetention(s, "retention") }

// checkRetention returns what is wrong with a retention. name is its name in the API.
func checkRetention(s *Spec, name string) (errs []error) {
	switch {
	case s.Retention <= 0:
		errs = append(errs, fmt.Errorf("%s: the %s %v must be positive", s, name, s.Retention))
	case !wholeMilliseconds(s.Retention):
		errs = append(errs, fmt.Errorf("%s: the %s %v must be a whole number of milliseconds", s, name, s.Retention))
	}
	return errs
}

// boundsOf returns the end and the start in the last 16 bytes of a session's key.
func boundsOf(b []byte) (end, start int64) {
	return int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[sessionEnd:]))
}
