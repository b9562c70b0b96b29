package versionedstore

import (
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

// NoEnd is the end of a version that no later version or deletion has ended.
const NoEnd processor.Timestamp = store.NoEnd

// Version is a value of a key, and the time for which it is valid: From <= t < To. To of
// the newest version is [NoEnd].
type Version[V any] struct {
	Value    V
	From, To processor.Timestamp
}

// Store is a typed versioned store. Only the goroutine of its task may use it, inside
// Init, Process, Flush and punctuators.
//
// Store is an interface so that the type that implements it is compiled only in programs
// that call [Open]. Only this package can implement it, so methods may be added.
type Store[K, V any] interface {
	Reader[K, V]

	// Put adds a version of key that is valid from the time from on. It returns the end
	// of the version: where a later version begins, or NoEnd. If from lies before the
	// history, the store does not change: kept is false, and the put is counted as a
	// dropped record. A negative from is an error.
	Put(key K, value V, from processor.Timestamp) (to processor.Timestamp, kept bool, err error)
	// Delete deletes key from the time from on, until a later version begins. It returns
	// the version that was valid at that time, and whether there was one. If from lies
	// before the history, the store does not change, as for Put.
	Delete(key K, from processor.Timestamp) (Version[V], bool, error)
}

// Reader has the methods of a [Store] that only read. [OpenTable] returns one.
type Reader[K, V any] interface {
	processor.Store

	// Get returns the newest version of key. The bool says whether there is one.
	Get(key K) (Version[V], bool, error)
	// GetAsOf returns the version of key that was valid at a time. The bool says whether
	// there was one. A time before the history finds only the newest version; see the
	// package documentation.
	GetAsOf(key K, at processor.Timestamp) (Version[V], bool, error)

	// opener binds the store to this package. See store.HandleOf.
	opener() opener[K, V]
}

// Open returns the store of the processor's task. Call it in Init. If the processor was
// not given the store when the topology was built, that is a programming mistake: Open
// panics with an error that says so, and Init fails.
func Open[K, V, K2, V2 any](ctx processor.Context[K2, V2], spec Spec[K, V]) Store[K, V] {
	instance := store.Open(ctx, spec)
	core, ok := instance.(*store.Versions[K, V])
	if !ok {
		panic(store.Other(spec, instance))
	}
	return &versions[K, V]{core, core.Core(), store.UserOf(ctx)}
}

// versions is a processor's handle of a store.
type versions[K, V any] struct {
	core   *store.Versions[K, V] // the store's instance in the task
	common *store.Core[K, V]     // of core
	user   store.User
}

// opener is the store.Opener of the package.
type opener[K, V any] struct{}

// HandleOf implements store.Opener.
func (opener[K, V]) HandleOf(instance processor.Store) processor.Store {
	if core, ok := instance.(*store.Versions[K, V]); ok {
		return &versions[K, V]{core, core.Core(), store.User{}}
	}
	return nil
}

func (*versions[K, V]) opener() opener[K, V] { return opener[K, V]{} }

// Name returns the store's name.
func (s *versions[K, V]) Name() string { return s.core.Name() }

func (s *versions[K, V]) Get(key K) (Version[V], bool, error) { return s.GetAsOf(key, NoEnd) }

func (s *versions[K, V]) GetAsOf(key K, at processor.Timestamp) (Version[V], bool, error) {
	b, err := s.common.Encode(key)
	if err != nil {
		return Version[V]{}, false, err
	}
	value, from, to, ok, err := s.core.AsOf(b, key, int64(at))
	if err != nil || !ok {
		return Version[V]{}, false, err
	}
	return Version[V]{value, processor.Timestamp(from), processor.Timestamp(to)}, true, nil
}

func (s *versions[K, V]) Put(key K, value V, from processor.Timestamp) (to processor.Timestamp, kept bool, err error) {
	return s.put(key, value, s.common.Present(value), from)
}

func (s *versions[K, V]) Delete(key K, from processor.Timestamp) (Version[V], bool, error) {
	was, ok, err := s.GetAsOf(key, from)
	if err != nil {
		return Version[V]{}, false, err
	}
	var none V
	if _, _, err := s.put(key, none, false, from); err != nil {
		return Version[V]{}, false, err
	}
	return was, ok, nil
}

func (s *versions[K, V]) put(key K, value V, present bool, from processor.Timestamp) (to processor.Timestamp, kept bool, err error) {
	if err := s.common.CheckTime(from); err != nil {
		return 0, false, err
	}
	b, err := s.common.Encode(key)
	if err != nil {
		return 0, false, err
	}
	cell, err := s.core.Cells().Load(b, key)
	if err != nil {
		return 0, false, err
	}
	end, err := s.core.PutVersion(cell, value, present, int64(from), s.user.Origin())
	switch {
	case err != nil:
		return 0, false, err
	case end == store.Refused:
		s.user.Dropped(store.RefusedReason)
		return 0, false, nil
	}
	return processor.Timestamp(end), true, nil
}
