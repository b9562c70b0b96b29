package store

import (
	"math"

	"github.com/millrace-streams/millrace/internal/engine"
)

// RefusedReason is the reason under which a version is counted as dropped if it is older
// than the history.
const RefusedReason = "version older than the history"

const (
	// NoEnd is the end of the newest version of a key.
	NoEnd = math.MaxInt64
	// Refused is what PutVersion returns for a version that is older than the history.
	Refused = -1
)

// Versions is the core of versioned stores. The newest version of each key is a cell, as
// in a key-value store, so everything that works on cells works on the newest versions.
// A newest version is found however old it is. Earlier versions are in the history.
type Versions[K, V any] struct {
	core *Core[K, V]
	time *int64
	past past
	log  versionLog

	replays bool     // values stay in their formats: see versionReplay
	sweeps  bool     // versions of earlier formats are being converted
	swept   int64    // how many were converted
	repeats []string // see writeRepeats
}

// NewVersions returns the core of an instance.
func NewVersions[K, V any](t *Typed[K, V], env engine.Env) (*Versions[K, V], error) {
	return newVersions(t, env, *env.Time < 0 || env.TimesLost)
}

func newVersions[K, V any](t *Typed[K, V], env engine.Env, findTime bool) (*Versions[K, V], error) {
	h, err := newHistory(&t.spec, env, findTime)
	if err != nil {
		return nil, err
	}
	s := &Versions[K, V]{
		core: NewCore(t, env, 0),
		time: env.Time,
		past: h,
		log:  versionLog{spec: &t.spec, env: env, deaths: map[string]int64{}},
	}
	s.core.cells.LogDeletions()
	s.beginSweep()
	return s, nil
}

// Core returns what all kinds of stores have in common.
func (s *Versions[K, V]) Core() *Core[K, V] { return s.core }

// Cells returns the newest versions in memory.
func (s *Versions[K, V]) Cells() *engine.Cells[K, V] { return s.core.cells }

// Name returns the store's name.
func (s *Versions[K, V]) Name() string { return s.core.Name() }

// StoreName implements engine.Store.
func (s *Versions[K, V]) StoreName() string { return s.core.Name() }

// Trim implements engine.Store.
func (s *Versions[K, V]) Trim() { s.core.Trim() }

// Time returns the store's time, -1 if nothing was ever put.
func (s *Versions[K, V]) Time() int64 { return *s.time }

// Observe moves the store's time forward.
func (s *Versions[K, V]) Observe(at int64) { *s.time = max(*s.time, at) }

// Live returns the time at which the history begins, at least 0.
func (s *Versions[K, V]) Live() int64 { return s.past.live() }

// PutVersion adds a version of the cell's key that is valid from a time on. If present is
// false, the key is deleted from then on. A version with the same beginning is replaced.
// The caller must have just got the cell from Cells.
//
// It returns the time at which the version ends: where the next one begins, or NoEnd. A
// version that is older than the history changes nothing, and PutVersion
// returns Refused.
func (s *Versions[K, V]) PutVersion(cell *engine.Cell[K, V], value V, present bool, at int64, origin engine.Origin) (end int64, err error) {
	s.Observe(at)
	if at < s.Live() {
		return Refused, nil
	}
	return s.put(cell, value, present, at, origin)
}

// PutCell is PutVersion for operators. newest says that the key has no newer version, and
// kept that the version was not refused.
func (s *Versions[K, V]) PutCell(cell *engine.Cell[K, V], value V, present bool, at int64, origin engine.Origin) (newest, kept bool, err error) {
	end, err := s.PutVersion(cell, value, present, at, origin)
	return end == NoEnd, end != Refused, err
}

func (s *Versions[K, V]) put(cell *engine.Cell[K, V], value V, present bool, at int64, origin engine.Origin) (end int64, err error) {
	newest, err := s.isNewest(cell, at)
	switch {
	case err != nil:
		return 0, err
	case newest:
		return NoEnd, s.replace(cell, value, present, at, origin)
	}
	return s.insert(cell, value, present, at, origin)
}

// isNewest reports whether a version from a time on is the newest one of its key.
func (s *Versions[K, V]) isNewest(cell *engine.Cell[K, V], at int64) (bool, error) {
	if cell.Present || cell.Changed() {
		return at >= cell.Timestamp, nil
	}
	return s.past.diedBefore(cell.KeyBytes(), at)
}

// replace makes a version the newest one of its key. The one before goes to the history.
func (s *Versions[K, V]) replace(cell *engine.Cell[K, V], value V, present bool, at int64, origin engine.Origin) error {
	key := string(cell.KeyBytes())
	before := loggedVersion{key: key, at: cell.Timestamp, origin: s.core.cells.Origin(cell)}
	unlogged := cell.Changed() && !s.log.atOnce() && cell.Timestamp < at
	ended := cell.Present && cell.Timestamp < at
	if ended {
		var err error
		if before.value, err = s.encode(cell.Value, before.origin); err != nil {
			return err
		}
	}
	if ended && !unlogged && s.converts() {
		// The record in the changelog may have an earlier format.
		if err := s.logBefore(before); err != nil {
			return err
		}
	}
	if err := s.core.cells.Set(cell, value, present, at, origin); err != nil {
		return err
	}
	if unlogged {
		s.log.pend(before)
	}
	if ended {
		if err := s.past.set(key, version{before.at, at, before.value}); err != nil {
			return err
		}
	}
	if present {
		return nil
	}
	return s.past.bury(key, at, ended)
}

// insert adds a version that is not the newest one of its key.
func (s *Versions[K, V]) insert(cell *engine.Cell[K, V], value V, present bool, at int64, origin engine.Origin) (end int64, err error) {
	in, found, err := s.past.after(cell.KeyBytes(), at, s.lastEnd(cell))
	if err != nil {
		return 0, err
	}
	v := loggedVersion{key: string(cell.KeyBytes()), at: at, origin: origin}
	if present {
		if v.value, err = s.encode(value, origin); err != nil {
			return 0, err
		}
	}
	if err := s.logEarlier(cell, v); err != nil {
		return 0, err
	}
	covered := found && in.from <= at
	if covered && in.from < at {
		if in, err = s.convert(cell, in); err != nil {
			return 0, err
		}
	}
	switch {
	case covered:
		end = in.end
	case found:
		end = in.from
	default:
		end = cell.Timestamp
	}
	return end, s.past.fit(in, covered, v, end)
}

// AsOf returns the version of a key that was valid at a time, and from when on. ok is
// false if there was none, or if the history does not reach back to that time.
func (s *Versions[K, V]) AsOf(keyBytes []byte, key K, at int64) (value V, from, end int64, ok bool, err error) {
	cell, err := s.core.cells.Load(keyBytes, key)
	switch {
	case err != nil:
		return value, 0, 0, false, err
	case cell.Present && cell.Timestamp <= at:
		return cell.Value, cell.Timestamp, NoEnd, true, nil
	case at < s.Live():
		return value, 0, 0, false, nil
	}
	v, found, err := s.past.after(keyBytes, at, s.lastEnd(cell))
	if err != nil || !found || v.from > at || v.from == v.end {
		return value, 0, 0, false, err
	}
	value, err = s.value(keyBytes, v)
	return value, v.from, v.end, err == nil, err
}

// lastEnd returns a time after which no version of the cell's key in the history ends.
func (s *Versions[K, V]) lastEnd(cell *engine.Cell[K, V]) int64 {
	if cell.Present {
		return cell.Timestamp
	}
	return *s.time
}

// logEarlier logs a version that is not the newest one of the cell's key, and the newest
// one once more.
func (s *Versions[K, V]) logEarlier(cell *engine.Cell[K, V], v loggedVersion) error {
	died := int64(-1)
	if cell.Present && s.converts() {
		s.repeats = append(s.repeats, v.key)
	}
	if !cell.Present {
		var err error
		if died, err = s.past.death(cell.KeyBytes()); err != nil {
			return err
		}
	}
	if !s.log.atOnce() {
		s.log.pend(v)
		s.log.repeat(v.key, died)
		return nil
	}
	newest, err := s.newest(cell, v.key, died, v.origin)
	if err != nil {
		return err
	}
	return s.log.log(v, newest)
}

// logBefore logs a version before the one that replaces it.
func (s *Versions[K, V]) logBefore(v loggedVersion) error {
	if s.log.atOnce() {
		return s.log.log(v)
	}
	s.log.pend(v)
	return nil
}

// newest returns the record of the newest version of a key, or of the deletion of the
// key.
func (s *Versions[K, V]) newest(cell *engine.Cell[K, V], key string, died int64, origin engine.Origin) (v loggedVersion, err error) {
	v = loggedVersion{key: key, at: died, origin: origin}
	if cell.Present {
		v.at = cell.Timestamp
		v.value, err = s.encode(cell.Value, origin)
	}
	return v, err
}

// encode returns the encoding of a value. Its bytes are not nil, and never change.
func (s *Versions[K, V]) encode(value V, origin engine.Origin) (u engine.Undecoded, err error) {
	u.Format = s.core.cells.FormatOf(value)
	u.Data, err = appendValue(s.core.spec, s.core.values, []byte{}, value, origin)
	return u, err
}

// Flush implements engine.Store.
func (s *Versions[K, V]) Flush(b *engine.TableBatch) error {
	swept, err := s.sweep(b)
	if err != nil {
		return err
	}
	if err := s.log.flush(s.repeated); err != nil {
		return err
	}
	if err := s.writeRepeats(b); err != nil {
		return err
	}
	if err := s.core.Flush(b); err != nil {
		return err
	}
	if swept {
		// The next commit begins with the newest versions.
		s.core.cells.BeginSweep(s.swept)
	}
	return s.past.flush(b.Past())
}

// repeated returns the record that logs the newest version of a key once more. changed
// says that it is logged anyway.
func (s *Versions[K, V]) repeated(key string, died int64) (v loggedVersion, changed bool, err error) {
	cell, err := s.core.cells.Get([]byte(key))
	if err == nil && cell == nil {
		var none K
		cell, err = s.core.cells.Load([]byte(key), none)
	}
	if err != nil || cell.Changed() {
		return v, err == nil, err
	}
	v, err = s.newest(cell, key, died, engine.Origin{})
	return v, false, err
}

// Committed implements engine.Store.
func (s *Versions[K, V]) Committed() {
	s.core.Committed()
	s.past.committed()
}

// Close implements engine.Store.
func (s *Versions[K, V]) Close() error {
	s.log.hold(-s.log.held)
	s.past.close()
	return s.core.Close()
}
