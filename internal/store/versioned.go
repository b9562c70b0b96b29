package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/serde"
)

// Versioned is the kind of the stores of package versionedstore. The newest version of a
// key is a row as in a key-value store. Earlier versions are rows of the table's past, in
// the layout [PastLayout].
//
// The changelog is that of Kafka Streams' versioned stores: a record for each version,
// with the key, the value and the time from which the version is valid as its timestamp.
// The last record of a key is always that of its newest version, because compaction keeps
// the last one. When an earlier version is logged, the newest one is therefore logged
// again after it.
var Versioned = &Kind{
	Name:      "versioned",
	Noun:      "versioned store",
	Changelog: VersionedChangelog,
	Migrates:  true,
	logged:    loggedRow,
	restore:   restoreVersion,

	MigratesPast: true,
}

// NewVersioned describes a versioned store. Its instances are [Versions].
func NewVersioned[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], history time.Duration, o Options) *Typed[K, V] {
	s := Spec{Name: name, Kind: Versioned, Options: o, Retention: history}
	return NewTyped(s, ks, vs, openVersions[K, V], checkVersions)
}

// openVersions makes the instance for one task.
func openVersions[K, V any](t *Typed[K, V], env engine.Env) (engine.Store, error) {
	return NewVersions(t, env)
}

// checkVersions returns what is wrong with the times of a versioned store.
func checkVersions(s *Spec) []error { return checkRetention(s, "history") }

// PastLayout is the layout of the earlier versions of a versioned store. They are divided
// into segments by their ends. A version ends where the next one begins.
//
//	[8B segment][key][8B end]
//
// Numbers are big-endian. The timestamp of a row is the time at which its version began.
// A row whose version ends where it begins holds no version. It marks that the key was
// deleted at that time.
type PastLayout struct{ Segmented }

const pastEnd = 8 // bytes of a version's end

// NewPastLayout returns the layout with segments of an interval in ms.
func NewPastLayout(interval int64) PastLayout { return PastLayout{Segmented{interval}} }

// AppendKey appends the local key of a version.
func (l PastLayout) AppendKey(dst, key []byte, end int64) []byte {
	return binary.BigEndian.AppendUint64(append(l.AppendSegment(dst, end), key...), uint64(end))
}

// KeyBounds returns the bounds, for Scan, of the versions of a key in one segment that
// end after a time. Versions of longer keys may lie in between: their local keys are
// longer.
func (l PastLayout) KeyBounds(segment int64, key []byte, after int64) (lower, upper []byte) {
	prefix := append(segmentKey(segment), key...)
	upper = append(append(append(make([]byte, 0, len(prefix)+pastEnd+1), prefix...), lastBounds[:pastEnd]...), 0)
	return binary.BigEndian.AppendUint64(prefix, uint64(after)+1), upper
}

// SplitPast returns the parts of a local key; key shares the memory of local. ok is false
// if local is not such a key.
func SplitPast(local []byte) (key []byte, end int64, ok bool) {
	n := len(local) - pastEnd
	if n < SegmentBytes {
		return nil, 0, false
	}
	return local[SegmentBytes:n], int64(binary.BigEndian.Uint64(local[n:])), true
}

// endOfPast returns the end of the version with a local key.
func endOfPast(local []byte) (end int64, ok bool) {
	_, end, ok = SplitPast(local)
	return end, ok
}

// Past returns the interval, in ms, of the segments in which a new versioned store keeps
// earlier versions.
func (s *Spec) Past() int64 { return SegmentInterval(s.Retention.Milliseconds()) }

// rawBytes is the serde of bytes as they are. A decoded slice is a copy.
type rawBytes struct{}

func (rawBytes) Append(dst, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (rawBytes) Decode(data []byte) ([]byte, error)   { return append([]byte{}, data...), nil }

// restoreVersion restores a version. Where it belongs depends on the versions that were
// restored before.
func restoreVersion(s *Spec, b *engine.TableBatch, key []byte, row engine.Stored) error {
	if row.Timestamp < 0 {
		return fmt.Errorf("%w: its timestamp is %d", ErrForeignRow, row.Timestamp)
	}
	r, err := b.Replaying(func(table *engine.Table) (engine.Replay, error) { return newReplay(s, table) })
	if err != nil {
		return err
	}
	replay, ok := r.(*versionReplay)
	if !ok {
		return errors.New("the records of two kinds of stores are restored into one table")
	}
	return replay.put(key, row)
}

// versionReplay puts versions like the store, but works on bytes and logs nothing. Values
// stay in their formats.
type versionReplay struct {
	versions *Versions[[]byte, engine.Undecoded]
	time     int64
}

func newReplay(s *Spec, table *engine.Table) (*versionReplay, error) {
	of := NewTyped(Spec{Name: s.Name, Kind: s.Kind, Retention: s.Retention}, serde.Serde[[]byte](rawBytes{}), serde.Serde[engine.Undecoded](engine.UndecodedValues{}), nil, nil)
	r := &versionReplay{time: -1}
	var err error
	r.versions, err = newVersions(of, engine.Env{Table: table, Time: &r.time}, false)
	if err == nil {
		r.versions.replays = true
	}
	return r, err
}

// put puts a version. It refuses no version as too old, because the store logs no refused
// version. It leaves out versions that are now too old to be found.
func (r *versionReplay) put(key []byte, row engine.Stored) error {
	v, at, present := r.versions, row.Timestamp, row.Value != nil
	v.Observe(at)
	cell, err := v.Cells().Load(key, nil)
	if err != nil {
		return err
	}
	value := engine.UndecodedOf(row)
	newest, err := v.isNewest(cell, at)
	switch {
	case err != nil:
		return err
	case !newest && at < v.Live():
		if !present {
			return nil
		}
		return v.rewrite(cell, value, at)
	}
	_, err = v.put(cell, value, present, at, engine.Origin{})
	return err
}

// rewrite replaces the value of a version that began before the history, if a read finds
// the version. It was converted, and logged again.
func (s *Versions[K, V]) rewrite(cell *engine.Cell[K, V], value V, at int64) error {
	key := cell.KeyBytes()
	in, found, err := s.past.after(key, at, s.lastEnd(cell))
	if err != nil || !found || in.from != at || in.from == in.end {
		return err
	}
	if in.value, err = s.encode(value, engine.Origin{}); err != nil {
		return err
	}
	return s.past.set(string(key), in)
}

// Flush implements engine.Replay.
func (r *versionReplay) Flush(b *engine.TableBatch) error {
	if err := r.versions.Flush(b); err != nil {
		return err
	}
	return r.versions.Close()
}
