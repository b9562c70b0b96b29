package sessionstore

import (
	"time"

	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Spec describes a session store. [New] makes one. It is immutable. If several processors
// of one sub-topology are given the same spec, they share the store.
//
// A Spec can be queried directly: see millrace.Get and millrace.Windows.
//
// Only this package can implement a Spec, so methods may be added to it.
type Spec[K, V any] interface {
	processor.StoreSpec

	// KeySerde returns the serde of the keys with their sessions.
	KeySerde() serde.Serde[serde.Windowed[K]]
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

// EveryUpdate writes each update to the changelog. By default, only the last update of
// each session between two commits is written.
func EveryUpdate() Option { return func(o *options) { o.EveryUpdate = true } }

// New describes a session store. The name must be unique in the topology. It names the
// changelog topic, <application>-<name>-changelog. Default: on disk, with a changelog.
//
// retention is the time that a session is kept after its end, in the store's time. It
// must be a positive number of whole milliseconds.
//
// If vs is an Optional serde, putting an absent value deletes the row.
func New[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], retention time.Duration, opts ...Option) Spec[K, V] {
	s := store.Spec{Name: name, Kind: store.Session, Retention: retention}
	store.Apply(&s.Options, opts)
	if ks != nil {
		s.QueryKeys = serde.SessionWindowed(ks)
	}
	return &spec[K, V]{store.NewTyped(s, ks, vs, open[K, V], store.CheckSessions)}
}

// spec implements Spec.
type spec[K, V any] struct{ *store.Typed[K, V] }

func (*spec[K, V]) types(K, V) {}

// KeySerde returns the serde of the keys with their sessions. It returns nil if the store
// has no serde for keys.
func (s *spec[K, V]) KeySerde() serde.Serde[serde.Windowed[K]] {
	if s.Typed.KeySerde() == nil {
		return nil
	}
	return serde.SessionWindowed(s.Typed.KeySerde())
}
