package versionedstore

import (
	"time"

	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Spec describes a versioned store; [New] makes one. It is immutable. Several processors
// of one sub-topology may be given the same spec: they share the store.
//
// A Spec can be queried as it is: queries read the newest versions.
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

// Option is an option of a store. A nil Option has no effect.
type Option func(*options)

type options = store.Options

// InMemory keeps the committed state in memory instead of on disk. The whole store is
// read from its changelog whenever the task starts, and Config.StateMemory does not bound
// it.
func InMemory() Option { return func(o *options) { o.InMemory = true } }

// WithoutChangelog writes no changelog topic. The store is then as durable as the local
// disk (with InMemory: as the process). What state.WithoutChangelog says about tasks that
// move and about crashes holds here too.
func WithoutChangelog() Option { return func(o *options) { o.NoChangelog = true } }

// EveryUpdate writes each put to the changelog at once. By default, of the puts of a key
// for the same time between two commits, only the last one is written.
func EveryUpdate() Option { return func(o *options) { o.EveryUpdate = true } }

// New describes a versioned store. The name is unique in the topology, and names the
// changelog topic <application>-<name>-changelog. Default: on disk, with a changelog.
//
// history is how far back, in the store's time, reads find versions: a positive number of
// whole milliseconds.
//
// If vs is an Optional serde, a value that is absent by it is a deletion.
func New[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], history time.Duration, opts ...Option) Spec[K, V] {
	s := store.Spec{Name: name, Kind: store.Versioned, Retention: history}
	store.Apply(&s.Options, opts)
	return &spec[K, V]{store.NewTyped(s, ks, vs, open[K, V], store.CheckVersions)}
}

// spec implements Spec.
type spec[K, V any] struct{ *store.Typed[K, V] }

func (*spec[K, V]) types(K, V) {}
