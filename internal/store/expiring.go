package store

import (
	"bytes"

	"github.com/millrace-streams/millrace/internal/engine"
)

// ExpiredReason is the reason with which a put of an expired row is counted as dropped.
const ExpiredReason = "expired window"

// Expiring is the core of stores whose rows expire. A row has a time: the start of its
// window, or the end of its session.
type Expiring[K, V any] struct {
	core *Core[K, V]

	layout  Segmented
	expiry  expiry
	rowTime func(local []byte) (at int64, ok bool)
	newest  int64 // see Newest

	deleted []byte // local keys below were deleted
	forget  bool   // the cells below are still there
}

// NewExpiring returns the core of an instance. rowTime returns the time of a row by its
// local key, and ok false if there is none in it.
func NewExpiring[K, V any](t *Typed[K, V], env engine.Env, rowTime func(local []byte) (at int64, ok bool)) (*Expiring[K, V], error) {
	spec := t.Describe()
	interval, err := env.Table.Interval(spec.Segments())
	if err != nil {
		return nil, err
	}
	e := &Expiring[K, V]{
		core:    NewCore(t, env, SegmentBytes),
		layout:  Segmented{interval},
		expiry:  newExpiry(spec, &env),
		rowTime: rowTime,
		newest:  -1,
	}
	if *env.Time < 0 || env.TimesLost {
		return e, e.findTime()
	}
	return e, nil
}

// findTime moves the store's time forward to the latest row. It is for a store whose time
// was not committed, or was lost, for example one that was restored from the changelog of
// a Java application. Only rows of the last segment can be the latest.
func (s *Expiring[K, V]) findTime() error {
	latest, newest, err := s.layout.LatestTime(s.core.env.Table, s.rowTime)
	s.Observe(latest)
	if s.core.env.TimesLost {
		s.newest = newest
	}
	return err
}

// Newest returns the largest timestamp of a row, if the times committed with the offsets
// were lost, else -1. It is a stream time that the operator which writes the rows has
// reached: the record with the largest timestamp is in the row with the largest time.
func (s *Expiring[K, V]) Newest() int64 { return s.newest }

// TimeIndex returns an index of the committed rows with a time after the given one. keyOf
// makes the key of a row in the index of its local key; nil: the same. The caller closes
// the index.
func (s *Expiring[K, V]) TimeIndex(after int64, keyOf func(local []byte) []byte) (*engine.TimeIndex, error) {
	if keyOf == nil {
		keyOf = bytes.Clone
	}
	index := engine.NewTimeIndex(s.core.env.Budget)
	var from []byte
	if after >= 0 {
		from = s.layout.AppendSegment(nil, after)
	}
	rows, err := s.core.env.Table.Scan(from, nil)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		if at, ok := s.rowTime(rows.Key()); ok && at > after {
			index.Add(at, keyOf(rows.Key()))
		}
	}
	return index, rows.Close()
}

// Core returns what all kinds of stores have in common.
func (s *Expiring[K, V]) Core() *Core[K, V] { return s.core }

// Name returns the store's name.
func (s *Expiring[K, V]) Name() string { return s.core.Name() }

// Cells returns the rows in memory.
func (s *Expiring[K, V]) Cells() *engine.Cells[K, V] { return s.core.cells }

// Trim implements engine.Store.
func (s *Expiring[K, V]) Trim() { s.core.Trim() }

// Close implements engine.Store.
func (s *Expiring[K, V]) Close() error { return s.core.Close() }

// Interval returns the interval of the segments in ms.
func (s *Expiring[K, V]) Interval() int64 { return s.layout.Interval }

// Time returns the store's time, -1 if nothing was ever put.
func (s *Expiring[K, V]) Time() int64 { return *s.expiry.time }

// Observe moves the store's time forward. Rows expire by that time.
func (s *Expiring[K, V]) Observe(at int64) { *s.expiry.time = max(*s.expiry.time, at) }

// DeletedBefore returns a time. All rows with an earlier one were deleted before the
// store was opened. The changelog may still have some of them. Reads hide these, so that
// results do not depend on what is left.
func (s *Expiring[K, V]) DeletedBefore() int64 { return s.expiry.gone }

// Expired reports whether reads hide rows with this time.
func (s *Expiring[K, V]) Expired(at int64) bool { return s.expiry.expired(at) }

// Live returns the smallest time of a row that has not expired, at least 0.
func (s *Expiring[K, V]) Live() int64 { return s.expiry.live() }

// Kept returns the smallest time that a row in the table or in memory can have.
func (s *Expiring[K, V]) Kept() int64 {
	if len(s.deleted) == 0 {
		return s.expiry.gone
	}
	return max(s.expiry.gone, s.layout.FirstTime(s.deleted))
}

// Expire implements engine.Expirer.
func (s *Expiring[K, V]) Expire() {
	if below := s.layout.ExpiredBelow(*s.expiry.time, s.expiry.retention); below != nil {
		s.expiry.keepFrom(s.layout.FirstTime(below))
	}
}

// Put sets the row with a local key and a time, or deletes it. A row that has expired is
// dropped, and counted. Kafka Streams writes it to the changelog all the same: after the
// loss of a disk, a store with a longer retention would have rows that it does not have
// otherwise.
func (s *Expiring[K, V]) Put(local []byte, key K, value V, present bool, rowTime, at int64, user User) error {
	s.Observe(rowTime)
	if s.Expired(rowTime) {
		user.Dropped(ExpiredReason)
		return nil
	}
	_, err := s.core.cells.Put(local, key, value, present, at, user.Origin())
	return err
}

// LogOnly writes to the changelog what the store itself does not take.
func (s *Expiring[K, V]) LogOnly(local []byte, value V, present bool, at int64, origin engine.Origin) error {
	if s.core.env.Log == nil {
		return nil
	}
	var data []byte
	if present {
		var err error
		if data, err = s.core.EncodeValue(value); err != nil {
			return err
		}
	}
	key := append([]byte(nil), local[SegmentBytes:]...)
	return s.core.env.Log(key, data, at, &origin)
}

// Flush implements engine.Store. It also deletes the segments that have expired. What was
// put into them since the last Flush goes with them.
func (s *Expiring[K, V]) Flush(b *engine.TableBatch) error {
	if err := s.core.Flush(b); err != nil {
		return err
	}
	below := s.layout.ExpiredBelow(*s.expiry.time, s.expiry.retention)
	if string(below) <= string(s.deleted) {
		return nil
	}
	s.deleted, s.forget = below, true
	return b.DeleteRange(nil, below)
}

// Committed implements engine.Store. It also drops what is cached of the segments that
// were deleted.
func (s *Expiring[K, V]) Committed() {
	s.core.Committed()
	if s.forget {
		s.forget = false
		s.core.cells.Forget(s.deleted)
	}
}
