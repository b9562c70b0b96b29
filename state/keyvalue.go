package state

import (
	"fmt"
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

// Entry is a row of a key-value store.
type Entry[K, V any] struct {
	Key       K
	Value     V
	Timestamp processor.Timestamp // the timestamp of the last write
}

// KeyValueStore is a typed key-value store. Only the goroutine of its task may use it,
// inside Init, Process, Flush and punctuators.
//
// Range reads are ordered by the bytes of the keys, and both bounds are inclusive.
// Methods whose names begin with Reverse yield the same rows in descending order. A read
// ends at the first error, which it yields with a zero Entry. The loop may write to the
// store. A row that the loop has not reached yet is yielded with its value at the time
// when the loop reaches it.
//
// KeyValueStore is an interface so that the type that implements it is compiled only in
// programs that call [Open]. Only this package can implement it, so methods may be added.
type KeyValueStore[K, V any] interface {
	processor.Store

	// Get returns the value of key. The bool says whether there is one.
	Get(key K) (V, bool, error)
	// GetTimestamped is Get with the timestamp of the last write.
	GetTimestamped(key K) (V, processor.Timestamp, bool, error)

	// Put sets the value of key. The timestamp of the row is that of the record being
	// processed or, in a punctuator, that of the punctuator.
	Put(key K, value V) error
	// PutTimestamped is Put with a given timestamp. A negative one is an error: no broker
	// accepts a record with it, so the change could not be written to the changelog.
	PutTimestamped(key K, value V, at processor.Timestamp) error
	// PutIfAbsent puts value if key has none. Otherwise it changes nothing, and returns
	// the present value and true.
	PutIfAbsent(key K, value V) (V, bool, error)
	// Delete removes key and returns its value. The bool says whether there was one.
	Delete(key K) (V, bool, error)

	// Range yields the rows with from <= key <= to.
	Range(from, to K) iter.Seq2[Entry[K, V], error]
	ReverseRange(from, to K) iter.Seq2[Entry[K, V], error]
	// From yields the rows with key >= from.
	From(from K) iter.Seq2[Entry[K, V], error]
	ReverseFrom(from K) iter.Seq2[Entry[K, V], error]
	// To yields the rows with key <= to.
	To(to K) iter.Seq2[Entry[K, V], error]
	ReverseTo(to K) iter.Seq2[Entry[K, V], error]
	All() iter.Seq2[Entry[K, V], error]
	ReverseAll() iter.Seq2[Entry[K, V], error]
	// PrefixScan yields the rows whose encoded keys begin with prefix.
	PrefixScan(prefix []byte) iter.Seq2[Entry[K, V], error]

	// opener binds the store to this package. See store.HandleOf.
	opener() opener[K, V]
}

// Open returns the store of the processor's task. Call it in Init. If the processor was
// not given the store when the topology was built, that is a programming mistake: Open
// panics with an error that says so, and Init fails.
func Open[K, V, K2, V2 any](ctx processor.Context[K2, V2], spec Spec[K, V]) KeyValueStore[K, V] {
	instance := store.Open(ctx, spec)
	core, ok := instance.(*store.Core[K, V])
	if _, global := instance.(*store.Reader[K, V]); global {
		panic(fmt.Errorf("open store %s: it is a global store, which only its own processor may write: open it with state.OpenGlobal to read it", spec.StoreName()))
	}
	if !ok {
		panic(store.Other(spec, instance))
	}
	return &keyValue[K, V]{core, core.Usage(), store.UserOf(ctx)}
}

// keyValue is a processor's handle of a store.
type keyValue[K, V any] struct {
	core *store.Core[K, V] // the store's instance in the task
	used *store.Usage      // nil without a bound of the rows
	user store.User
}

// opener is the store.Opener of the package.
type opener[K, V any] struct{}

// HandleOf implements store.Opener.
func (opener[K, V]) HandleOf(instance processor.Store) processor.Store {
	if core, ok := instance.(*store.Core[K, V]); ok {
		return &keyValue[K, V]{core, core.Usage(), store.User{}}
	}
	return nil
}

func (*keyValue[K, V]) opener() opener[K, V] { return opener[K, V]{} }

// Name returns the store's name.
func (s *keyValue[K, V]) Name() string { return s.core.Name() }

func (s *keyValue[K, V]) load(key K) (*engine.Cell[K, V], error) {
	b, err := s.core.Encode(key)
	if err != nil {
		return nil, err
	}
	return s.core.Cells().Load(b, key)
}

// lives reports whether a row is there and has not expired.
func (s *keyValue[K, V]) lives(cell *engine.Cell[K, V]) bool {
	return cell.Present && !s.core.Cells().Lifetimes().Expired(cell.Timestamp)
}

func (s *keyValue[K, V]) Get(key K) (V, bool, error) {
	v, _, ok, err := s.GetTimestamped(key)
	return v, ok, err
}

func (s *keyValue[K, V]) GetTimestamped(key K) (V, processor.Timestamp, bool, error) {
	cell, err := s.load(key)
	if err != nil || !s.lives(cell) {
		var zero V
		return zero, 0, false, err
	}
	if s.used != nil {
		s.used.Use(cell.KeyBytes())
	}
	return cell.Value, processor.Timestamp(cell.Timestamp), true, nil
}

func (s *keyValue[K, V]) Put(key K, value V) error { return s.put(key, value, s.core.Env().Now()) }

func (s *keyValue[K, V]) PutTimestamped(key K, value V, at processor.Timestamp) error {
	if err := s.core.CheckTime(at); err != nil {
		return err
	}
	return s.put(key, value, int64(at))
}

func (s *keyValue[K, V]) put(key K, value V, at int64) error {
	b, err := s.core.Encode(key)
	if err != nil {
		return err
	}
	present := s.core.Present(value)
	if present && s.core.Cells().Lifetimes().Expired(at) {
		s.user.Dropped(store.ExpiredRow)
		return nil
	}
	if s.used != nil && present {
		if err := s.useOrAdd(b); err != nil {
			return err
		}
	}
	if _, err = s.core.Cells().Put(b, key, value, present, at, s.user.Origin()); err == nil && s.used != nil && !present {
		s.used.Remove(b)
	}
	return err
}

func (s *keyValue[K, V]) PutIfAbsent(key K, value V) (V, bool, error) {
	v, ok, err := s.Get(key)
	if err != nil || ok {
		return v, ok, err
	}
	return v, false, s.Put(key, value)
}

func (s *keyValue[K, V]) Delete(key K) (V, bool, error) {
	var zero V
	cell, err := s.load(key)
	if err != nil {
		return zero, false, err
	}
	old, had := zero, s.lives(cell)
	if had {
		old = cell.Value
	}
	// Like Kafka Streams, also log the deletion of an absent row.
	if s.used != nil {
		s.used.Remove(cell.KeyBytes())
	}
	if err := s.core.Cells().Set(cell, zero, false, s.core.Env().Now(), s.user.Origin()); err != nil {
		return zero, false, err
	}
	return old, had, nil
}
