package windowstore

import (
	"time"

	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Spec describes a window store; [New] makes one. It is immutable. Several processors of
// one sub-topology may be given the same spec: they share the store.
//
// A Spec can be queried as it is: see millrace.Get and millrace.Windows.
//
// Only this package can implement a Spec, so methods may be added to it.
type Spec[K, V any] interface {
	processor.StoreSpec

	// KeySerde returns the serde of the keys with their windows.
	KeySerde() serde.Serde[serde.Windowed[K]]
	// ValueSerde returns the serde of the values.
	ValueSerde() serde.Serde[V]

	// types ties the spec to its types and to this package.
	types(K, V)
}

// Option is an option of a store.
type Option func(*options)

type options struct {
	store.Options
	duplicates bool
}

// InMemory keeps the committed state in memory instead of on disk. The whole store is
// read from its changelog whenever the task starts, and Config.StateMemory does not bound
// it.
func InMemory() Option { return func(o *options) { o.InMemory = true } }

// WithoutChangelog writes no changelog topic. The store is then as lasting as the local
// disk (with InMemory: as the process).
//
//   - When its task moves to another process, the store does not go along. The task goes
//     on with what that process has of the store: nothing, or the rows that its disk has
//     from an earlier time.
//   - A crash may lose the changes of the last commit too. They reach the disk after
//     Kafka has confirmed the commit, and nothing else keeps them.
func WithoutChangelog() Option { return func(o *options) { o.NoChangelog = true } }

// EveryUpdate writes each update to the changelog, instead of the last one of each window
// between two commits.
func EveryUpdate() Option { return func(o *options) { o.EveryUpdate = true } }

// RetainDuplicates keeps every value that is put, in the order of putting, also under the
// same key and window start. Such a store deletes by retention only: Delete writes a
// deletion to the changelog, as Kafka Streams does, and changes nothing. Get returns the
// first value.
func RetainDuplicates() Option { return func(o *options) { o.duplicates = true } }

// New describes a window store. The name is unique in the topology, and names the
// changelog topic <application>-<name>-changelog. Default: on disk, with a changelog.
//
// size is the length of the windows; only reads need it, to tell a window's end.
// retention is how long, in the store's time, a row is kept after its window's start; it
// is size at least. Both are whole milliseconds.
//
// If vs is an Optional serde, a value that is absent by it is a deletion.
func New[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], size, retention time.Duration, opts ...Option) Spec[K, V] {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	s := store.Spec{
		Name: name, Kind: store.Window, Options: o.Options,
		WindowSize: size, Retention: retention, Duplicates: o.duplicates,
	}
	return &spec[K, V]{store.NewTyped(s, ks, vs, open[K, V], store.CheckWindows)}
}

// spec implements Spec.
type spec[K, V any] struct{ *store.Typed[K, V] }

func (*spec[K, V]) types(K, V) {}

// KeySerde returns the serde of the keys with their windows; nil if the store has no
// serde for keys.
func (s *spec[K, V]) KeySerde() serde.Serde[serde.Windowed[K]] {
	if s.Typed.KeySerde() == nil {
		return nil
	}
	return serde.TimeWindowed(s.Typed.KeySerde(), s.Describe().WindowSize)
}
