package versionedstore

import (
	"time"

	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Spec describes a versioned store. [New] makes one. It is immutable. If several
// processors of one sub-topology are given the same spec, they share the store.
//
// A Spec can be queried directly: see millrace.Get and millrace.Range. These
// queries read the newest version of each key. millrace.GetAsOf reads an earlier version.
//
// Only this package can implement a Spec, so methods may be added.
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

// WithoutChangelog writes no changelog topic. The store then exists only on the local
// disk (with InMemory: in the process). See state.WithoutChangelog about tasks that move
// and about crashes.
func WithoutChangelog() Option { return func(o *options) { o.NoChangelog = true } }

// EveryUpdate writes each put to the changelog. By default, if versions of one key with
// the same beginning are put between two commits, only the last of them is written.
func EveryUpdate() Option { return func(o *options) { o.EveryUpdate = true } }

// New describes a versioned store. The name must be unique in the topology. It names the
// changelog topic, <application>-<name>-changelog. Default: on disk, with a changelog.
//
// history is how far back from the store's time reads find earlier versions. It must be a
// positive number of whole milliseconds.
//
// If vs is an Optional serde, putting an absent value deletes the key from that time on.
func New[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], history time.Duration, opts ...Option) Spec[K, V] {
	var o options
	store.Apply(&o, opts)
	return &spec[K, V]{store.NewVersioned(name, ks, vs, history, o)}
}

// spec implements Spec.
type spec[K, V any] struct{ *store.Typed[K, V] }

func (*spec[K, V]) types(K, V) {}
