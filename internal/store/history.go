package store

import (
	"bytes"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/serde"
)

// history has the versions of a versioned store that are not the newest of their keys,
// and the times at which keys were deleted. Values are encoded, so the history has no
// type parameters. A store holds it as a [past], so that programs do not compile the
// types in it.
//
// The store's time is the largest time from which a version was ever valid. The history
// begins at that time minus the retention. Versions that ended before it can be neither
// found nor changed.
type history struct {
	layout    PastLayout
	retention int64
	time      *int64
	rows      *engine.Cells[struct{}, engine.Undecoded]
	swept     []byte // see sweep
	gone      int64  // no key that has no newest version was deleted later
	deleted   []byte // rows below were deleted
	rowBuf    []byte
}

// past is what a versioned store needs of its history.
type past interface {
	// live returns the time at which the history begins, at least 0.
	live() int64

	// after returns the first version of a key that ends after a time. None ends after
	// last.
	after(key []byte, at, last int64) (v version, found bool, err error)
	// death returns the time at which a key without a newest version was deleted, or -1
	// if no deletion is known.
	death(key []byte) (int64, error)
	// diedBefore reports whether a key without a newest version was deleted at a time or
	// before it.
	diedBefore(key []byte, at int64) (bool, error)

	// set sets the version of a key that ends where v ends.
	set(key string, v version) error
	// bury records that a key has no newest version from a time on. ended says that a
	// version ends there.
	bury(key string, at int64, ended bool) error
	// fit makes room for a version v that ends at end. If another version, in, covers the
	// time of v, v takes that time from it.
	fit(in version, covered bool, v loggedVersion, end int64) error

	// each calls f for each row of the history. f must not keep the key.
	each(f func(key []byte, v version)) error
	// sweep calls f for the next versions that reads find and that do not have a format.
	// f must not keep the key. The sweep is done when part was enough for the rest.
	sweep(part *engine.SweepPart, format uint8, f func(key []byte, v version) error) (done bool, err error)

	flush(b *engine.TableBatch) error
	committed()
	close()
}

// version is a version that has ended.
type version struct {
	from, end int64
	value     engine.Undecoded
}

// newHistory returns the history of a store. It moves the store's time to that of the
// latest version in it. findTime moves it to that of the newest versions too, for a store
// whose time was never committed, or was lost.
func newHistory(s *Spec, env engine.Env, findTime bool) (past, error) {
	table := env.Table.Past()
	interval, err := table.Interval(s.Past())
	if err != nil {
		return nil, err
	}
	h := &history{layout: NewPastLayout(interval), retention: s.Retention.Milliseconds(), time: env.Time}
	own := engine.Env{Table: table, Budget: env.Budget, Now: env.Now}
	h.rows = engine.NewCells(engine.CellsConfig[struct{}, engine.Undecoded]{Store: s.Name, Env: own, Value: serde.Serde[engine.Undecoded](engine.UndecodedValues{})})
	last, _, err := h.layout.LatestTime(table, endOfPast)
	*h.time = max(*h.time, last)
	if err == nil && findTime {
		err = h.findTime(env.Table)
	}
	if err != nil {
		return nil, err
	}
	h.gone = *h.time
	return h, nil
}

// findTime moves the store's time to that of the newest versions.
func (h *history) findTime(newest *engine.Table) error {
	rows, err := newest.Scan(nil, nil)
	if err != nil {
		return err
	}
	for rows.Next() {
		*h.time = max(*h.time, rows.Timestamp())
	}
	return rows.Close()
}

func (h *history) live() int64 { return max(0, *h.time-h.retention) }

func (h *history) after(key []byte, at, last int64) (v version, found bool, err error) {
	if at >= last {
		return v, false, nil
	}
	first, until := h.layout.Segments(max(at+1, h.live()), last)
	for segment := first; segment <= until; segment++ {
		if v, found, err = h.firstIn(segment, key, at, false); found || err != nil {
			return v, found, err
		}
	}
	return v, false, nil
}

func (h *history) death(key []byte) (int64, error) {
	first, last := h.layout.Segments(h.live(), *h.time)
	for segment := last; segment >= first; segment-- {
		if v, found, err := h.firstIn(segment, key, -1, true); found || err != nil {
			return v.end, err
		}
	}
	return -1, nil
}

func (h *history) diedBefore(key []byte, at int64) (bool, error) {
	if at >= h.gone {
		return true, nil
	}
	died, err := h.death(key)
	return at >= died, err
}

// firstIn returns the first version of a key in a segment that ends after a time, or the
// last one.
func (h *history) firstIn(segment int64, key []byte, after int64, reverse bool) (v version, found bool, err error) {
	lower, upper := h.layout.KeyBounds(segment, key, after)
	for row, err := range h.rows.Range(lower, upper, reverse) {
		if err != nil {
			return v, false, err
		}
		if k, end, ok := SplitPast(row.KeyBytes); ok && bytes.Equal(k, key) {
			return version{row.Timestamp, end, row.Value}, true, nil
		}
	}
	return v, false, nil
}

func (h *history) set(key string, v version) error {
	h.rowBuf = h.layout.AppendKey(h.rowBuf[:0], []byte(key), v.end)
	_, err := h.rows.Put(h.rowBuf, struct{}{}, v.value, true, v.from, engine.Origin{})
	return err
}

func (h *history) bury(key string, at int64, ended bool) error {
	h.gone = max(h.gone, at)
	if ended {
		return nil
	}
	return h.mark(key, at)
}

// mark records that a key was deleted at a time, unless a version ends there.
func (h *history) mark(key string, at int64) error {
	h.rowBuf = h.layout.AppendKey(h.rowBuf[:0], []byte(key), at)
	cell, err := h.rows.Load(h.rowBuf, struct{}{})
	if err != nil || cell.Present {
		return err
	}
	return h.rows.Set(cell, engine.Undecoded{}, true, at, engine.Origin{})
}

func (h *history) fit(in version, covered bool, v loggedVersion, end int64) error {
	if covered && in.from < v.at {
		if err := h.set(v.key, version{in.from, v.at, in.value}); err != nil {
			return err
		}
	}
	if v.value.Data != nil {
		return h.set(v.key, version{v.at, end, v.value})
	}
	if covered {
		if err := h.set(v.key, version{from: end, end: end}); err != nil {
			return err
		}
	}
	return h.mark(v.key, v.at)
}

func (h *history) sweep(part *engine.SweepPart, format uint8, f func(key []byte, v version) error) (done bool, err error) {
	for row, err := range h.rows.Range(h.swept, nil, false) {
		if err != nil {
			return false, err
		}
		if !part.Look() {
			h.swept = bytes.Clone(row.KeyBytes)
			return false, nil
		}
		key, end, ok := SplitPast(row.KeyBytes)
		if !ok || row.Value.Format == format || row.Timestamp == end || end <= h.live() {
			continue
		}
		if err := f(key, version{row.Timestamp, end, row.Value}); err != nil {
			return false, err
		}
		part.Converted(len(row.Value.Data))
	}
	return true, nil
}

// flush also deletes the segments that no read reaches any more.
func (h *history) flush(b *engine.TableBatch) error {
	if err := h.rows.Flush(b); err != nil {
		return err
	}
	// A version that ends where the history begins is not found any more.
	below := h.layout.ExpiredBelow(*h.time, h.retention)
	if bytes.Compare(below, h.deleted) <= 0 {
		return nil
	}
	h.deleted = below
	return b.DeleteRange(nil, below)
}

// committed keeps no version in memory: they are seldom read again soon.
func (h *history) committed() {
	h.rows.Committed()
	h.rows.ForgetAll()
}

func (h *history) close() { h.rows.Close() }
