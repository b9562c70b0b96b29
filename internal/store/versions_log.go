package store

import (
	"bytes"
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
)

// logEarlier logs a version that is not the newest one of the cell's key, and the newest
// one once more. died is when the key was deleted, if it has no newest version.
func (s *Versions[K, V]) logEarlier(cell *engine.Cell[K, V], v loggedVersion, died int64) error {
	if s.env.Log == nil {
		return nil
	}
	if s.env.EveryUpdate {
		if err := s.log(v); err != nil {
			return err
		}
		return s.logNewest(cell, v.key, died, v.origin)
	}
	s.pend(v)
	if _, known := s.deaths[v.key]; !known {
		s.again = append(s.again, v.key)
		s.hold(int64(2 * len(v.key)))
	}
	s.deaths[v.key] = died
	return nil
}

// logNewest logs the newest version of a key, or the deletion of the key.
func (s *Versions[K, V]) logNewest(cell *engine.Cell[K, V], key string, died int64, origin engine.Origin) (err error) {
	v := loggedVersion{key: key, at: died, origin: origin}
	if cell.Present {
		v.at = cell.Timestamp
		if v.value, err = s.encode(cell.Value, origin); err != nil {
			return err
		}
	}
	return s.log(v)
}

// pend keeps a version for the changelog until the next Flush.
func (s *Versions[K, V]) pend(v loggedVersion) {
	if s.env.Log == nil {
		return
	}
	s.pending = append(s.pending, v)
	s.hold(int64(len(v.key) + len(v.value)))
}

func (s *Versions[K, V]) hold(n int64) {
	s.held += n
	s.env.Budget.Hold(n)
}

func (s *Versions[K, V]) log(v loggedVersion) error {
	if err := s.env.Log([]byte(v.key), v.value, v.at, &v.origin); err != nil {
		return s.Wrap(fmt.Errorf("write to the changelog: %w", err))
	}
	return nil
}

// encode returns the encoding of a value. It is not nil, and its bytes never change.
func (s *Versions[K, V]) encode(value V, origin engine.Origin) ([]byte, error) {
	return appendValue(s.spec, s.values, []byte{}, value, origin)
}

// Flush implements engine.Store. It also deletes the segments of the past that no read
// reaches any more.
func (s *Versions[K, V]) Flush(b *engine.TableBatch) error {
	if err := s.flushLog(); err != nil {
		return err
	}
	if err := s.Core.Flush(b); err != nil {
		return err
	}
	past := b.Past()
	if err := s.past.Flush(past); err != nil {
		return err
	}
	// A version that ends where the history begins is not found any more.
	below := s.layout.ExpiredBelow(*s.time, s.retention)
	if bytes.Compare(below, s.deleted) <= 0 {
		return nil
	}
	s.deleted = below
	return past.DeleteRange(nil, below)
}

// flushLog logs what is not the newest version of a key that has changed.
func (s *Versions[K, V]) flushLog() error {
	for _, v := range s.pending {
		if err := s.log(v); err != nil {
			return err
		}
	}
	for _, key := range s.again {
		var none K
		cell, err := s.cells.Get([]byte(key))
		if err != nil {
			return err
		}
		if cell == nil {
			if cell, err = s.cells.Load([]byte(key), none); err != nil {
				return err
			}
		}
		if cell.Changed() {
			continue // it is logged as a changed row
		}
		if err := s.logNewest(cell, key, s.deaths[key], engine.Origin{}); err != nil {
			return err
		}
	}
	clear(s.pending)
	clear(s.deaths)
	s.pending, s.again = s.pending[:0], s.again[:0]
	s.hold(-s.held)
	return nil
}

// Committed implements engine.Store. Versions of the past are seldom read again soon, so
// none is kept in memory.
func (s *Versions[K, V]) Committed() {
	s.Core.Committed()
	s.past.Committed()
	s.past.ForgetAll()
}

// Close implements engine.Store.
func (s *Versions[K, V]) Close() error {
	s.hold(-s.held)
	s.past.Close()
	return s.Core.Close()
}
