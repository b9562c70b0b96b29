package state

import (
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Spec describes a key-value store; [KeyValue] makes one. It is immutable, and may be used by several processors of one sub-topology, which then share
// the store.
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
}

// InMemory keeps the committed state in memory instead of on disk. It is faster for small stores; the whole store is read from its changelog whenever the task
// starts, and Config.StateMemory does not bound it.
func InMemory() Option { return func(o *options) { o.inMemory = true } }

// WithoutChangelog writes no changelog topic. The store is then as lasting as the local disk (with InMemory: as the process), and does not go along
// when its task moves to another process: the task goes on there with what that process has of it, which is nothing, or, on its disk, the rows of an earlier
// time when it had the task. A crash may lose the changes of the last commit too: they reach the disk after Kafka has confirmed it, and nothing else keeps
// them.
func WithoutChangelog() Option { return func(o *options) { o.noChangelog = true } }

// EveryUpdate writes each update to the changelog, instead of the last one of each key between two commits.
func EveryUpdate() Option { return func(o *options) { o.everyUpdate = true } }

// KeyValue describes a store from keys to values with the time of the last write. The name is unique in the topology, and names the changelog topic
// <application>-<name>-changelog. Default: on disk, with a changelog.
//
// If vs is an Optional serde, a value that is absent by it is a deletion.
func KeyValue[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], opts ...Option) Spec[K, V] {
	s := &keyValueSpec[K, V]{name: name, keys: ks, values: vs}
	for _, o := range opts {
		o(&s.o)
	}
	return s
}

// keyValueSpec implements Spec and engine.Spec.
type keyValueSpec[K, V any] struct {
	name   string
	keys   serde.Serde[K]
	values serde.Serde[V]
	o      options
}

func (s *keyValueSpec[K, V]) types(K, V) {}

// Serdes returns the serdes of the keys and of the values.
func (s *keyValueSpec[K, V]) Serdes() (keys, values any) { return s.keys, s.values }

func (s *keyValueSpec[K, V]) StoreName() string { return s.name }
func (s *keyValueSpec[K, V]) Persistent() bool  { return !s.o.inMemory }

func (s *keyValueSpec[K, V]) Changelog() engine.Changelog {
	if s.o.noChangelog {
		return engine.Changelog{}
	}
	return engine.Changelog{Kind: engine.CompactChangelog}
}

// Validate returns all that is wrong with the spec.
func (s *keyValueSpec[K, V]) Validate() error {
	var errs []error
	if s.name == "" {
		errs = append(errs, errors.New("store without a name"))
	}
	if s.keys == nil {
		errs = append(errs, fmt.Errorf("store %s: no serde for keys", s.name))
	}
	if s.values == nil {
		errs = append(errs, fmt.Errorf("store %s: no serde for values", s.name))
	}
	return errors.Join(errs...)
}

func (s *keyValueSpec[K, V]) Open(env engine.Env) (engine.Store, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	return newKeyValue(s, env), nil
}

func (s *keyValueSpec[K, V]) Restore(b *engine.TableBatch, key, value []byte, timestamp int64) error {
	if value == nil {
		return b.Delete(key)
	}
	return b.Set(key, timestamp, value)
}

// CheckKey implements engine.Spec.
func (s *keyValueSpec[K, V]) CheckKey(key []byte) error { return engine.CheckKey(s.keys, key) }
