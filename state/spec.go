package state

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Spec describes a key-value store; [KeyValue] makes one. It is immutable. Several
// processors of one sub-topology may be given the same spec: they share the store.
//
// A Spec can be queried as it is: see millrace.Get and millrace.Range.
//
// Only this package can implement a Spec, so methods may be added to it.
type Spec[K, V any] interface {
	processor.StoreSpec

	// KeySerde returns the serde of the keys.
	KeySerde() serde.Serde[K]
	// ValueSerde returns the serde of the values.
	ValueSerde() serde.Serde[V]

	// types ties the spec to its types and to this package.
	types(K, V)
}

// Option is an option of a store.
type Option func(*options)

type options = store.Options

// InMemory keeps the committed state in memory instead of on disk. It is faster for small
// stores. The whole store is read from its changelog whenever the task starts, and
// Config.StateMemory does not bound it.
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

// EveryUpdate writes each update to the changelog, instead of the last one of each key
// between two commits.
func EveryUpdate() Option { return func(o *options) { o.EveryUpdate = true } }

// KeyValue describes a store from keys to values with the time of the last write. The
// name is unique in the topology, and names the changelog topic
// <application>-<name>-changelog. Default: on disk, with a changelog.
//
// If vs is an Optional serde, a value that is absent by it is a deletion.
func KeyValue[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], opts ...Option) Spec[K, V] {
	s := store.Spec{Name: name, Kind: store.KeyValue}
	for _, o := range opts {
		o(&s.Options)
	}
	return &spec[K, V]{store.NewTyped(s, ks, vs, open[K, V], nil)}
}

// spec implements Spec.
type spec[K, V any] struct{ *store.Typed[K, V] }

func (*spec[K, V]) types(K, V) {}

func open[K, V any](t *store.Typed[K, V], env engine.Env) (engine.Store, error) {
	return &keyValue[K, V]{Core: store.NewCore(t, env, 0)}, nil
}
