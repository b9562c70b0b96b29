package windowstore

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Spec describes a window store; [New] makes one. It is immutable, and may be used by several processors of one sub-topology, which then share the
// store.
type Spec[K, V any] interface {
	processor.StoreSpec

	// types ties the spec to its types and to this package.
	types(K, V)
}

// Option is an option of a store.
type Option func(*options)

type options struct {
	inMemory    bool
	noChangelog bool
	everyUpdate bool
	duplicates  bool
}

// InMemory keeps the committed state in memory instead of on disk. The whole store is read from its changelog whenever the task starts, and
// Config.StateMemory does not bound it.
func InMemory() Option { return func(o *options) { o.inMemory = true } }

// WithoutChangelog writes no changelog topic. The store is then as lasting as the local disk (with InMemory: as the process), and does not go along
// when its task moves to another process: the task goes on there with what that process has of it, which is nothing, or, on its disk, the rows of an earlier
// time when it had the task. A crash may lose the changes of the last commit too: they reach the disk after Kafka has confirmed it, and nothing else keeps
// them.
func WithoutChangelog() Option { return func(o *options) { o.noChangelog = true } }

// EveryUpdate writes each update to the changelog, instead of the last one of each window between two commits.
func EveryUpdate() Option { return func(o *options) { o.everyUpdate = true } }

// RetainDuplicates keeps every value that is put, in the order of putting, also under the same key and window start. Such a store deletes by
// retention only: Delete writes a deletion to the changelog, as Kafka Streams does, and changes nothing. Get returns the first value.
func RetainDuplicates() Option { return func(o *options) { o.duplicates = true } }

// New describes a window store. size is the length of the windows, which only reads need, to tell their end; retention is how long, in the store's time, a
// row is kept after its window's start, and is size at least. Both are in whole milliseconds. The name is unique in the topology, and names the changelog topic
// <application>-<name>-changelog. Default: on disk, with a changelog.
//
// If vs is an Optional serde, a value that is absent by it is a deletion.
func New[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], size, retention time.Duration, opts ...Option) Spec[K, V] {
	s := &spec[K, V]{name: name, keys: ks, values: vs, size: size, retention: retention}
	for _, o := range opts {
		o(&s.o)
	}
	return s
}

// spec implements Spec and engine.Spec.
type spec[K, V any] struct {
	name            string
	keys            serde.Serde[K]
	values          serde.Serde[V]
	size, retention time.Duration
	o               options
}

func (s *spec[K, V]) types(K, V) {}

// Serdes returns the serdes of the keys and of the values.
func (s *spec[K, V]) Serdes() (keys, values any) { return s.keys, s.values }

func (s *spec[K, V]) StoreName() string { return s.name }
func (s *spec[K, V]) Persistent() bool  { return !s.o.inMemory }

func (s *spec[K, V]) Changelog() engine.Changelog {
	if s.o.noChangelog {
		return engine.Changelog{}
	}
	return engine.Changelog{Kind: engine.WindowedChangelog, RetentionMs: s.retention.Milliseconds()}
}

// Windows returns the length of the windows, and whether the store keeps duplicates.
func (s *spec[K, V]) Windows() (size time.Duration, duplicates bool) { return s.size, s.o.duplicates }

// Layout says where a new store keeps its rows; see engine.Table.WindowLayout.
func (s *spec[K, V]) Layout() engine.WindowLayout {
	return engine.LayoutFor(s.retention.Milliseconds())
}

// Validate returns all that is wrong with the spec.
func (s *spec[K, V]) Validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.name == "" {
		wrong("window store without a name")
	}
	if s.keys == nil {
		wrong("window store %s: no serde for keys", s.name)
	}
	if s.values == nil {
		wrong("window store %s: no serde for values", s.name)
	}
	switch {
	case s.size < time.Millisecond:
		wrong("window store %s: window size %v is below one millisecond", s.name, s.size)
	case !wholeMilliseconds(s.size):
		wrong("window store %s: window size %v is no whole number of milliseconds", s.name, s.size)
	}
	switch {
	case s.retention < s.size:
		wrong("window store %s: retention %v is shorter than a window of %v", s.name, s.retention, s.size)
	case !wholeMilliseconds(s.retention):
		wrong("window store %s: retention %v is no whole number of milliseconds", s.name, s.retention)
	}
	return errors.Join(errs...)
}

// wholeMilliseconds reports whether d can be told in milliseconds. The longest Duration stands for one without end.
func wholeMilliseconds(d time.Duration) bool { return d%time.Millisecond == 0 || d == math.MaxInt64 }

func (s *spec[K, V]) Open(env engine.Env) (engine.Store, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return open(s, env)
}

func (s *spec[K, V]) Restore(b *engine.TableBatch, key, value []byte, timestamp int64) error {
	if err := engine.CheckWindowLog(key, s.o.duplicates); err != nil {
		return err
	}
	layout, err := b.WindowLayout(s.retention.Milliseconds())
	if err != nil {
		return err
	}
	local, err := layout.AppendLocal(nil, key)
	if err != nil {
		return err
	}
	if value == nil {
		return b.Delete(local)
	}
	return b.Set(local, timestamp, value)
}

// CheckKey implements engine.Spec.
func (s *spec[K, V]) CheckKey(key []byte) error {
	if err := engine.CheckWindowLog(key, s.o.duplicates); err != nil {
		return err
	}
	return engine.CheckKey(s.keys, engine.WindowLogKey(key))
}
