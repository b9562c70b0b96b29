package store

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
)

// Spec describes one store, without its types. It is immutable, and shared by all tasks.
type Spec struct {
	Name string
	Kind *Kind

	// Keys and Values are the serdes of the rows: nil if they are not known. Keys of
	// windows are those without the window.
	Keys, Values any

	// QueryKeys is the serde of the keys as queries write them: with the window, if the
	// store has windows. nil if Keys is.
	QueryKeys any

	Options

	// WindowSize is the length of the windows, and Retention how long a row is kept after
	// its window's start, after its session's end, or after the version that it holds has
	// ended. Each is zero for kinds without it;
	// the longest Duration stands for no end.
	WindowSize, Retention time.Duration

	// Duplicates says that the store keeps every value that is put under the same key and
	// window.
	Duplicates bool

	// open makes the store's instance for one task.
	open func(engine.Env) (engine.Store, error)
	// valueType is the type of the values. encode encodes one, and absent reports whether
	// it counts as absent. They are nil if the store has no serdes.
	valueType reflect.Type
	encode    func(value any) ([]byte, error)
	absent    func(value any) bool
	// readable returns an error if the key serde cannot read a key; nil if the store has
	// no serdes.
	readable func(key []byte) error
	// wrong returns what else is wrong, beside what every spec is checked for; may be
	// nil.
	wrong func(*Spec) []error
}

// Options are the options that all kinds of stores have.
type Options struct {
	// InMemory keeps the committed state in memory instead of on disk.
	InMemory bool
	// NoChangelog writes no changelog topic.
	NoChangelog bool
	// EveryUpdate writes each update to the changelog, instead of the last one of each
	// row between two commits.
	EveryUpdate bool
	// MostRows bounds the rows of a key-value store: the least recently used row gives
	// way to a new one. Limited says that there is a bound.
	MostRows int
	Limited  bool
	// TTL is how long a row of a key-value store lives after its timestamp, in stream
	// time. Mortal says that rows expire.
	TTL    time.Duration
	Mortal bool
	// Migrations are the earlier formats of the values.
	Migrations *Migrations
}

// Apply applies the options of a store package. A nil option has no effect.
func Apply[F ~func(*O), O any](o *O, opts []F) {
	for _, opt := range opts {
		if opt != nil {
			opt(o)
		}
	}
}

// described is implemented by the specs of the public packages, through [Typed].
type described interface{ Describe() *Spec }

// Of returns the description of a spec. It is an error if the spec is not one of a store
// package's, or describes a store that is not possible. The errors of one spec are
// joined.
func Of(spec processor.StoreSpec) (*Spec, error) {
	d, ok := spec.(described)
	switch {
	case isNil(spec):
		return nil, errors.New("was given a nil store: use state.KeyValue, windowstore.New, sessionstore.New or versionedstore.New")
	case !ok:
		return nil, fmt.Errorf("store %q: %T is not the spec of a store: use state.KeyValue, windowstore.New, sessionstore.New or versionedstore.New", spec.StoreName(), spec)
	}
	s := d.Describe()
	return s, s.Validate()
}

func isNil(spec processor.StoreSpec) bool {
	v := reflect.ValueOf(spec)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// Describe returns s: a Spec is a spec of itself.
func (s *Spec) Describe() *Spec { return s }

// String is how errors call the store: "store counts", "window store visits".
func (s *Spec) String() string { return s.Kind.Noun + " " + s.Name }

// StoreName returns the store's name.
func (s *Spec) StoreName() string { return s.Name }

// Persistent reports whether the committed state is on disk. If not, it is restored whole
// at start.
func (s *Spec) Persistent() bool { return !s.InMemory }

// Changelog describes the changelog topic.
func (s *Spec) Changelog() Changelog {
	switch {
	case s.NoChangelog:
		return Changelog{}
	case s.Kind.Changelog == WindowedChangelog, s.Kind.Changelog == VersionedChangelog:
		return Changelog{Kind: s.Kind.Changelog, RetentionMs: s.Retention.Milliseconds()}
	}
	return Changelog{Kind: s.Kind.Changelog}
}

// Logged reports whether the store has a changelog topic.
func (s *Spec) Logged() bool { return !s.NoChangelog }

// ChangelogTopic returns the full name of the changelog topic.
func (s *Spec) ChangelogTopic(applicationID string) string {
	return ChangelogTopic(applicationID, s.Name)
}

// Segments returns the interval of the segments of time, in ms, by which a new store
// keeps its rows; 0 if its kind is not segmented. A table that has rows keeps the
// interval that it had first: [engine.Table.Interval].
func (s *Spec) Segments() int64 {
	if !s.Kind.Segmented {
		return 0
	}
	return SegmentInterval(s.Retention.Milliseconds())
}

// IntervalIn returns the interval of the segments, in ms, by which the rows in a snapshot
// are kept. An earlier version of the program may have chosen it.
func (s *Spec) IntervalIn(snapshot *engine.Snapshot) int64 {
	if interval := snapshot.Interval(s.Name); interval > 0 {
		return interval
	}
	if s.Kind.Changelog == VersionedChangelog {
		return s.Past()
	}
	return s.Segments()
}

// RowKey returns the key in the database of the row with a key as queries write it.
// interval is that of the segments.
func (s *Spec) RowKey(interval int64, key []byte) ([]byte, error) {
	if s.Kind.rowKey == nil {
		return key, nil
	}
	return s.Kind.rowKey(interval, key)
}

// QueryKey undoes RowKey. The result is a part of row.
func (s *Spec) QueryKey(row []byte) []byte {
	if s.Kind.queryKey == nil {
		return row
	}
	return s.Kind.queryKey(row)
}

// WindowsIn returns the range of times by which the rows expire that a query for the
// windows from..to yields.
func (s *Spec) WindowsIn(from, to int64) (first, last int64) { return s.Kind.windows.times(from, to) }

// WindowBounds returns the bounds, for Scan, of these rows in one segment, if they have
// the key. Other rows may lie in between: see HasWindow.
func (s *Spec) WindowBounds(interval, segment int64, key []byte, from, to int64) (lower, upper []byte) {
	return s.Kind.windows.keyBounds(interval, segment, key, from, to)
}

// HasWindow reports whether a local key is one of these rows, and returns the row's key.
func (s *Spec) HasWindow(local []byte, from, to int64) (key []byte, ok bool) {
	return s.Kind.windows.within(local, from, to)
}

// Validate returns all that is wrong with the spec.
func (s *Spec) Validate() error {
	var errs []error
	if s.Name == "" {
		errs = append(errs, fmt.Errorf("the %s has no name: give it one", s.Kind.Noun))
	}
	if s.Keys == nil {
		errs = append(errs, fmt.Errorf("%s: the serde for keys is nil: pass one, such as serde.String", s))
	}
	if s.Values == nil {
		errs = append(errs, fmt.Errorf("%s: the serde for values is nil: pass one, such as serde.String", s))
	}
	if s.Migrations != nil {
		errs = append(errs, s.Migrations.problems(s)...)
	}
	if s.wrong != nil {
		errs = append(errs, s.wrong(s)...)
	}
	return errors.Join(errs...)
}

// Open makes the store's instance for one task. It reads committed state from env.Table.
func (s *Spec) Open(env engine.Env) (engine.Store, error) {
	if !s.Kind.Own {
		if err := s.Validate(); err != nil {
			return nil, err
		}
	}
	if env.Table != nil {
		if err := env.Table.LowerSwept(s.Migrations.Newest()); err != nil {
			return nil, err
		}
	}
	env.EveryUpdate = env.EveryUpdate || s.EveryUpdate
	return s.open(env)
}

// Unlogged returns the spec of the same store without a changelog.
func (s *Spec) Unlogged() *Spec {
	unlogged := *s
	unlogged.NoChangelog = true
	return &unlogged
}

// Restore adds what one changelog record says to b. A row without a value (nil) is a
// deletion. Restore does not keep key or value. The value stays in its format, because
// most records of earlier formats are followed by others of the same key.
//
// An error in whose chain is [ErrForeignRow] says that the record is none of this
// store's.
func (s *Spec) Restore(b *engine.TableBatch, key []byte, row engine.Stored) error {
	if newest := s.Migrations.Newest(); row.Format > newest {
		return s.wrap(&engine.UnknownFormatError{Format: row.Format, Newest: newest})
	}
	if s.Migrations != nil && row.Value != nil {
		b.Restored(row.Format)
	}
	return s.Kind.restore(s, b, key, row)
}
