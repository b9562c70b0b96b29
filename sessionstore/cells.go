package sessionstore

import (
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
)

// The operator of session windows uses the store through these methods. They work on the
// store's cells. The cells hide no expired session and refuse no late one: the operator
// decides which records are late.

// AppendKey appends the key of a cell.
func (s *core[K, V]) AppendKey(dst, key []byte, start, end int64) []byte {
	return s.layout.AppendKey(dst, key, start, end)
}

// AppendWindow appends the key of the cell of a session.
func (s *core[K, V]) AppendWindow(dst, key []byte, w serde.Window) []byte {
	return s.AppendKey(dst, key, w.Start, w.End)
}

// Session returns the session of a cell's key.
func (s *core[K, V]) Session(cellKey []byte) serde.Window {
	_, start, end, _ := store.SplitSession(cellKey)
	return serde.Window{Start: start, End: end}
}

// WithoutWindow returns the encoded key in a cell's key.
func (s *core[K, V]) WithoutWindow(cellKey []byte) []byte {
	key, _, _, _ := store.SplitSession(cellKey)
	return key
}

// Key returns the key without its session in a cell's key.
func (s *core[K, V]) Key(cellKey []byte) (K, error) {
	return s.expiring.Core().Decode(s.WithoutWindow(cellKey))
}

// AppendSessions appends the sessions of a key with end >= from and start <= to, by end.
// For most records it reads no row: see lastSession.
func (s *core[K, V]) AppendSessions(dst []serde.Window, key []byte, from, to int64) ([]serde.Window, error) {
	s.current = s.latest.Get(key)
	if s.current == nil || s.current.Value.before >= from {
		return s.search(dst, key, from, to)
	}
	if last := s.current.Value; last.End >= from && last.Start <= to {
		dst = append(dst, last.Window)
	}
	return dst, nil
}

// search is AppendSessions by reading the rows. It stores the key's last session.
//
// It is not inlined: its loop moves its variables to the heap.
//
//go:noinline
func (s *core[K, V]) search(dst []serde.Window, key []byte, from, to int64) ([]serde.Window, error) {
	last := lastSession{Window: serde.Window{Start: none, End: none}, before: from - 1}
	for row, err := range s.rows(store.KeyRange{First: key, One: true}, max(from, 0), s.expiring.Time(), false) {
		if err != nil {
			return dst, err
		}
		found := s.Session(row.KeyBytes)
		if found.Start <= to {
			dst = append(dst, found)
		}
		last = last.then(found)
	}
	if s.current == nil {
		s.current = s.latest.Put(key, last, s.Cells().Len())
	}
	s.current.Value = last
	return dst, nil
}

// Newest returns the largest end of all sessions that were ever in the store, if the
// times committed with the offsets were lost, and -1 otherwise. It does not use the
// timestamps of the rows: a row has the timestamp of the record that came last. Without a
// loss it returns -1, because a row may belong to a record that will be read again.
func (s *core[K, V]) Newest() int64 {
	if s.expiring.Newest() < 0 {
		return -1
	}
	return s.expiring.Time()
}

// Merged tells the store that the key of the last AppendSessions has a new session. The
// session replaces all sessions that AppendSessions has found.
func (s *core[K, V]) Merged(w serde.Window) {
	s.Observe(w.End)
	if s.current != nil {
		s.current.Value.merged(w)
	}
}

// Gone tells the store that a session of a key, and all sessions that AppendSessions has
// found, no longer exist.
func (s *core[K, V]) Gone(key []byte) {
	s.latest.Forget(key)
	s.current = nil
}

// Mark returns the mark of a session that the last AppendSessions has found.
func (s *core[K, V]) Mark(w serde.Window) (m engine.Mark) {
	if s.current != nil && s.current.Value.Window == w {
		m = s.current.Value.mark
	}
	return m
}

// SetMark sets the mark of a session of the key of the last AppendSessions.
func (s *core[K, V]) SetMark(w serde.Window, m engine.Mark) {
	if s.current != nil && s.current.Value.Window == w {
		s.current.Value.mark = m
	}
}

// Name returns the store's name.
func (s *core[K, V]) Name() string { return s.expiring.Name() }

// StoreName implements engine.Store.
func (s *core[K, V]) StoreName() string { return s.expiring.Name() }

// Cells returns the rows in memory.
func (s *core[K, V]) Cells() *engine.Cells[K, V] { return s.expiring.Cells() }

// Time returns the largest end of a session that was ever written, -1 if there is none.
func (s *core[K, V]) Time() int64 { return s.expiring.Time() }

// Observe moves the store's time forward.
func (s *core[K, V]) Observe(at int64) { s.expiring.Observe(at) }

// TimeIndex returns an index of the committed rows; see store.Expiring.
func (s *core[K, V]) TimeIndex(after int64, keyOf func(local []byte) []byte) (*engine.TimeIndex, error) {
	return s.expiring.TimeIndex(after, keyOf)
}

// DeletedBefore returns store.Expiring.DeletedBefore.
func (s *core[K, V]) DeletedBefore() int64 { return s.expiring.DeletedBefore() }

// Expire implements engine.Expirer.
func (s *core[K, V]) Expire() { s.expiring.Expire() }

// Flush implements engine.Store.
func (s *core[K, V]) Flush(b *engine.TableBatch) error { return s.expiring.Flush(b) }

// Committed implements engine.Store.
func (s *core[K, V]) Committed() { s.expiring.Committed() }

// Trim implements engine.Store.
func (s *core[K, V]) Trim() { s.expiring.Trim() }

// Close implements engine.Store.
func (s *core[K, V]) Close() error {
	s.latest.Close()
	return s.expiring.Close()
}

// rows yields the sessions of the keys with end >= from and start <= to, by segment.
//
// It is not inlined. Otherwise each caller would have a copy of it.
//
//go:noinline
func (s *core[K, V]) rows(keys store.KeyRange, from, to int64, reverse bool) iter.Seq2[engine.Row[K, V], error] {
	return s.expiring.Rows(store.Scan{
		First: from, Last: s.expiring.Time(), Whole: keys.All(), Reverse: reverse,
		Bounds: func(segment int64) (lower, upper []byte) {
			if keys.One {
				return s.layout.KeyBounds(segment, keys.First, from)
			}
			return s.layout.RangeBounds(segment, keys.First, keys.Last)
		},
		Wanted: func(local []byte) bool {
			key, start, end, ok := store.SplitSession(local)
			return ok && end >= from && start <= to && keys.Has(key)
		},
	})
}
