package operator

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// If a session grows, its entry in the index of the table does not move: this would cost
// more than the rest of the record's work. The entry stays at the first end of the
// session, and moves on when that end is due. If sessions merge, their entries meet at
// the end of the merged session, and one of them is used.

// markStart is the number of bytes in front of the key in a session's key in the index.
// They are the start of the session.
const markStart = 8

// sessionMark returns the key of a session in the index. Sessions with the same end are
// in order of start and then key, as in Kafka Streams.
func sessionMark(key []byte, session serde.Window) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, markStart+len(key)), uint64(session.Start)), key...)
}

// splitMark undoes sessionMark.
func splitMark(mark []byte) (start int64, key []byte) {
	return int64(binary.BigEndian.Uint64(mark)), mark[markStart:]
}

// openClosing opens the closing of the table, if it has one. A session is closed when
// stream time is later than its end by more than the gap and the grace.
func (s *sessions[K, V, A]) openClosing() (err error) {
	delay := s.config.Gap + s.config.Grace + 1
	if s.closing, err = openClosing(&s.rows, s.config.Store, *s.newest, 0, delay, s.mark); s.closing != nil {
		s.rows.opened = nil // replace adds sessions that are no others grown
	}
	return err
}

// mark returns the key in the index for the key of a cell.
func (s *sessions[K, V, A]) mark(cellKey []byte) []byte {
	return sessionMark(s.store.WithoutWindow(cellKey), s.store.Session(cellKey))
}

// sendClosed sends the sessions that are closed, by end, start and key.
func (s *sessions[K, V, A]) sendClosed(headers processor.Headers) error {
	c := s.closing
	if c == nil || !c.advance(*s.newest) {
		return nil
	}
	for {
		end, _, ok := c.index.First()
		if !ok || end > int64(*c.until) {
			return nil
		}
		if err := s.findEnding(end); err != nil {
			return s.rows.broken(err)
		}
		for _, mark := range s.ending {
			start, key := splitMark(mark)
			if err := c.sendRow(s.rowKey(key, serde.Window{Start: start, End: end}), headers); err != nil {
				return err
			}
		}
	}
}

// findEnding finds the sessions that end at a time, among the entries that are due then.
// Entries of sessions that have grown move to their new end.
func (s *sessions[K, V, A]) findEnding(end int64) error {
	index := s.closing.index
	s.ending = s.ending[:0]
	for {
		_, mark, ok := index.Take(end)
		if !ok {
			break
		}
		_, key := splitMark(mark)
		session, there, err := s.at(key, end)
		switch {
		case err != nil:
			return err
		case !there: // an aggregator has deleted it
		case session.End > end:
			index.Add(session.End, sessionMark(key, session))
		default:
			s.ending = append(s.ending, sessionMark(key, session))
		}
	}
	slices.SortFunc(s.ending, bytes.Compare)
	s.ending = slices.CompactFunc(s.ending, bytes.Equal)
	return nil
}

// at returns the session of a key that holds a time.
func (s *sessions[K, V, A]) at(key []byte, at int64) (session serde.Window, ok bool, err error) {
	if s.found, err = s.store.AppendSessions(s.found[:0], key, at, at); len(s.found) == 0 {
		return session, false, err
	}
	return s.found[0], true, err
}
