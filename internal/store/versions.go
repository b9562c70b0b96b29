package store

import (
	"bytes"
	"math"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/serde"
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
//
// The store's time is the largest time from which a version was ever valid. The history
// begins at that time minus the retention. Earlier versions that ended before it can be
// neither found nor changed. The newest version of a key is found however old it is.
type Versions[K, V any] struct {
	*Core[K, V]

	layout    PastLayout
	retention int64
	time      *int64
	past      *engine.Cells[struct{}, []byte]
	lastEnd   int64  // no version that was in the table at the start ended later
	gone      int64  // no key that has no newest version was deleted later
	deleted   []byte // rows of the past below were deleted

	// These are the records that the next Flush logs in addition to the changed newest
	// versions: first versions that are no longer the newest, then newest versions once
	// more.
	pending []loggedVersion
	again   []string         // keys
	deaths  map[string]int64 // of those keys; when the key was deleted, -1 if it was not
	held    int64            // bytes of all this
	rowBuf  []byte
}

// loggedVersion is a record for the changelog.
type loggedVersion struct {
	key    string
	value  []byte // nil: a deletion
	at     int64
	origin engine.Origin
}

// version is a row of the past.
type version struct {
	from, end int64
	value     []byte
}

// NewVersions returns the core of an instance.
func NewVersions[K, V any](t *Typed[K, V], env engine.Env) (*Versions[K, V], error) {
	unknown := *env.Time < 0 || env.TimesLost
	s, err := newVersions(t, env)
	if err == nil && unknown {
		err = s.findTime()
	}
	return s, err
}

func newVersions[K, V any](t *Typed[K, V], env engine.Env) (*Versions[K, V], error) {
	interval, err := env.Table.Past().Interval(t.spec.Past())
	if err != nil {
		return nil, err
	}
	s := &Versions[K, V]{
		Core:      NewCore(t, env, 0),
		layout:    NewPastLayout(interval),
		retention: t.spec.Retention.Milliseconds(),
		time:      env.Time,
		deaths:    map[string]int64{},
	}
	s.cells.LogDeletions()
	past := engine.Env{Table: env.Table.Past(), Budget: env.Budget, Now: env.Now}
	s.past = engine.NewCells(engine.CellsConfig[struct{}, []byte]{Store: t.spec.Name, Env: past, Value: serde.Serde[[]byte](rawBytes{})})
	if s.lastEnd, _, err = s.layout.LatestTime(env.Table.Past(), endOfPast); err != nil {
		return nil, err
	}
	s.Observe(s.lastEnd)
	s.gone = *s.time
	return s, nil
}

// findTime moves the store's time to the latest version. It is for a store whose time was
// never committed, or was lost.
func (s *Versions[K, V]) findTime() error {
	rows, err := s.env.Table.Scan(nil, nil)
	if err != nil {
		return err
	}
	for rows.Next() {
		s.Observe(rows.Timestamp())
	}
	s.gone = *s.time
	return rows.Close()
}

// Time returns the store's time, -1 if nothing was ever put.
func (s *Versions[K, V]) Time() int64 { return *s.time }

// Observe moves the store's time forward.
func (s *Versions[K, V]) Observe(at int64) { *s.time = max(*s.time, at) }

// Live returns the time at which the history begins, at least 0.
func (s *Versions[K, V]) Live() int64 { return max(0, *s.time-s.retention) }

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
	switch {
	case cell.Present, cell.Changed():
		return at >= cell.Timestamp, nil
	case at >= s.gone:
		return true, nil
	}
	died, err := s.death(cell.KeyBytes())
	return at >= died, err
}

// replace makes a version the newest one of its key. The one before becomes a row of the
// past.
func (s *Versions[K, V]) replace(cell *engine.Cell[K, V], value V, present bool, at int64, origin engine.Origin) error {
	key := string(cell.KeyBytes())
	before := loggedVersion{key: key, at: cell.Timestamp, origin: s.cells.Origin(cell)}
	had, unlogged := cell.Present, cell.Changed() && !s.env.EveryUpdate && cell.Timestamp < at
	if had && cell.Timestamp < at {
		var err error
		if before.value, err = s.encode(cell.Value, before.origin); err != nil {
			return err
		}
	}
	if err := s.cells.Set(cell, value, present, at, origin); err != nil {
		return err
	}
	if unlogged {
		s.pend(before)
	}
	if !present {
		s.gone = max(s.gone, at)
	}
	switch {
	case had && before.at < at:
		return s.setPast(key, at, before.at, before.value)
	case !present:
		return s.mark(key, at)
	}
	return nil
}

// insert adds a version that is not the newest one of its key.
func (s *Versions[K, V]) insert(cell *engine.Cell[K, V], value V, present bool, at int64, origin engine.Origin) (end int64, err error) {
	key := string(cell.KeyBytes())
	in, found, err := s.after(cell.KeyBytes(), at, s.lastPast(cell))
	if err != nil {
		return 0, err
	}
	var data []byte
	if present {
		if data, err = s.encode(value, origin); err != nil {
			return 0, err
		}
	}
	died := int64(-1)
	if !cell.Present {
		if died, err = s.death([]byte(key)); err != nil {
			return 0, err
		}
	}
	if err := s.logEarlier(cell, loggedVersion{key, data, at, origin}, died); err != nil {
		return 0, err
	}
	covered := found && in.from <= at
	switch {
	case covered:
		end = in.end
	case found:
		end = in.from
	default:
		end = cell.Timestamp
	}
	return end, s.fit(key, in, covered, loggedVersion{key, data, at, origin}, end)
}

// fit changes the past for a version v that ends at end. If another version, in, covers
// the time of v, v takes that time from it.
func (s *Versions[K, V]) fit(key string, in version, covered bool, v loggedVersion, end int64) error {
	if covered && in.from < v.at {
		if err := s.setPast(key, v.at, in.from, in.value); err != nil {
			return err
		}
	}
	if v.value != nil {
		return s.setPast(key, end, v.at, v.value)
	}
	if covered {
		if err := s.setPast(key, end, end, nil); err != nil {
			return err
		}
	}
	return s.mark(key, v.at)
}

// AsOf returns the version of a key that was valid at a time, and from when on. ok is
// false if there was none, or if the history does not reach back to that time.
func (s *Versions[K, V]) AsOf(keyBytes []byte, key K, at int64) (value V, from, end int64, ok bool, err error) {
	cell, err := s.cells.Load(keyBytes, key)
	switch {
	case err != nil:
		return value, 0, 0, false, err
	case cell.Present && cell.Timestamp <= at:
		return cell.Value, cell.Timestamp, NoEnd, true, nil
	case at < s.Live():
		return value, 0, 0, false, nil
	}
	v, found, err := s.after(keyBytes, at, s.lastPast(cell))
	if err != nil || !found || v.from > at || v.from == v.end {
		return value, 0, 0, false, err
	}
	value, err = s.DecodeValue(v.value)
	return value, v.from, v.end, err == nil, err
}

// lastPast returns a time after which no version of the cell's key in the past ends.
func (s *Versions[K, V]) lastPast(cell *engine.Cell[K, V]) int64 {
	if cell.Present {
		return cell.Timestamp
	}
	return *s.time
}

// after returns the first version of a key in the past that ends after a time. None ends
// after last.
func (s *Versions[K, V]) after(key []byte, at, last int64) (v version, found bool, err error) {
	if at >= last {
		return v, false, nil
	}
	first, until := s.layout.Segments(max(at+1, s.Live()), last)
	for segment := first; segment <= until; segment++ {
		if v, found, err = s.firstIn(segment, key, at, false); found || err != nil {
			return v, found, err
		}
	}
	return v, false, nil
}

// death returns the time at which a key without a newest version was deleted. It returns
// -1 if no deletion is known.
func (s *Versions[K, V]) death(key []byte) (int64, error) {
	first, last := s.layout.Segments(s.Live(), *s.time)
	for segment := last; segment >= first; segment-- {
		if v, found, err := s.firstIn(segment, key, -1, true); found || err != nil {
			return v.end, err
		}
	}
	return -1, nil
}

// firstIn returns the first version of a key in a segment that ends after a time, or the
// last one.
func (s *Versions[K, V]) firstIn(segment int64, key []byte, after int64, reverse bool) (v version, found bool, err error) {
	lower, upper := s.layout.KeyBounds(segment, key, after)
	for row, err := range s.past.Range(lower, upper, reverse) {
		if err != nil {
			return v, false, err
		}
		if k, end, ok := SplitPast(row.KeyBytes); ok && bytes.Equal(k, key) {
			return version{row.Timestamp, end, row.Value}, true, nil
		}
	}
	return v, false, nil
}

// setPast sets the version of the past that ends at a time.
func (s *Versions[K, V]) setPast(key string, end, from int64, value []byte) error {
	s.rowBuf = s.layout.AppendKey(s.rowBuf[:0], []byte(key), end)
	_, err := s.past.Put(s.rowBuf, struct{}{}, value, true, from, engine.Origin{})
	return err
}

// mark records that a key was deleted at a time, unless a version ends there.
func (s *Versions[K, V]) mark(key string, at int64) error {
	s.rowBuf = s.layout.AppendKey(s.rowBuf[:0], []byte(key), at)
	cell, err := s.past.Load(s.rowBuf, struct{}{})
	if err != nil || cell.Present {
		return err
	}
	return s.past.Set(cell, nil, true, at, engine.Origin{})
}
