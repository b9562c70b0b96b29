package windowstore

import (
	"time"

	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Spec describes a window store. [New] makes one. It is immutable. If several processors
// of one sub-topology are given the same spec, they share the store.
//
// A Spec can be queried directly: see millrace.Get and millrace.Windows.
//
// Only this package can implement a Spec, so methods may be added.
type Spec[K, V any] interface {
	processor.StoreSpec

	// KeySerde returns the serde of the keys with their windows.
	KeySerde() serde.Serde[serde.Windowed[K]]
	// ValueSerde returns the serde of the values.
	ValueSerde() serde.Serde[V]

	// types binds the spec to its types and to this package.
	types(K, V)
}

// Option is an option of a store. A nil Option has no effect.
type Option func(*options)

type options struct {
	store.Options
	duplicates bool
}

// InMemory keeps the committed state in memory instead of on disk. The whole store is
// read from its changelog whenever the task starts, and Config.StateMemory does not bound
// it.
func InMemory() Option { return func(o *options) { o.InMemory = true } }

// WithoutChangelog writes no changelog topic. The store then exists only on the local
// disk (with InMemory: in the process).
//
//   - If the task moves to another process, the store does not move with it. The task
//     continues with the rows in the new process: usually none, or, if that process had
//     the task before, the old rows on its disk.
//   - A crash may also lose the changes of the last commit. They reach the disk only
//     after Kafka has confirmed the commit, and no other copy exists.
func WithoutChangelog() Option { return func(o *options) { o.NoChangelog = true } }

// EveryUpdate writes every update to the changelog. By default, only the last update of
// each window between two commits is written.
func EveryUpdate() Option { return func(o *options) { o.EveryUpdate = true } }

// RetainDuplicates keeps every value that is put, even under the same key and window
// start, in the order of the puts. Get returns the first value. Such a store deletes rows
// by retention only. Like in Kafka Streams, Delete writes a deletion to the changelog and
// changes nothing else.
func RetainDuplicates() Option { return func(o *options) { o.duplicates = true } }

// New describes a window store. The name must be unique in the topology. It names the
// changelog topic, <application>-<name>-changelog. Default: on disk, with a changelog.
//
// size is the length of the windows. Only reads use it, to compute the end of a window.
// retention is how long a row is kept after the start of its window, in the store's time.
// It must be at least size. Both must be whole milliseconds.
//
// If vs is an Optional serde, putting an absent value deletes the row.
func New[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], size, retention time.Duration, opts ...Option) Spec[K, V] {
	var o options
	store.Apply(&o, opts)
	s := store.Spec{
		Name: name, Kind: store.Window, Options: o.Options,
		WindowSize: size, Retention: retention, Duplicates: o.duplicates,
	}
	if ks != nil {
		s.QueryKeys = serde.TimeWindowed(ks, size)
	}
	return &spec[K, V]{store.NewTyped(s, ks, vs, open[K, V], store.CheckWindows)}
}

// spec implements Spec.
type spec[K, V any] struct{ *store.Typed[K, V] }

func (*spec[K, V]) types(K, V) {}

// KeySerde returns the serde of the keys with their windows, or nil if the store has no
// serde for keys.
func (s *spec[K, V]) KeySerde() serde.Serde[serde.Windowed[K]] {
	if s.Typed.KeySerde() == nil {
		return nil
	}
	return serde.TimeWindowed(s.Typed.KeySerde(), s.Describe().WindowSize)
}
