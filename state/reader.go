package state

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Global is a global store as [OpenGlobal] takes it: a topology.Global, or the [Spec]
// with which the store was made.
type Global[K, V any] interface {
	processor.StoreSpec
	KeySerde() serde.Serde[K]
	ValueSerde() serde.Serde[V]
}

// Reader reads a global store in a processor that does not write it. Only the goroutine
// of the processor's task may use it, inside Init, Process, Flush and punctuators.
//
// Another goroutine of the same process writes the store while the Reader reads it. Get
// returns the newest row. A range read sees the rows as they are when its loop begins. It
// yields them in the order of the bytes of their keys, and both bounds are inclusive. It
// ends at the first error, which it yields with a zero Entry.
//
// A value that a Reader returns may be shared with other calls, so it must not be
// changed.
type Reader[K, V any] struct {
	r *store.Reader[K, V]
}

// OpenGlobal returns a global store for reading. Call it in Init. If the processor was
// not given the store when the topology was built, that is a programming mistake:
// OpenGlobal panics with an error that says so, and Init fails.
func OpenGlobal[K, V, K2, V2 any](ctx processor.Context[K2, V2], global Global[K, V]) Reader[K, V] {
	instance, err := ctx.Store(global.StoreName())
	if err != nil {
		panic(fmt.Errorf("open global store %s: %w", global.StoreName(), err))
	}
	r, ok := instance.(*store.Reader[K, V])
	if !ok {
		panic(fmt.Errorf("open global store %s: the processor was given a %T of this name: OpenGlobal opens global stores that other processors write; use Open for all others",
			global.StoreName(), instance))
	}
	return Reader[K, V]{r}
}

// Name returns the store's name.
func (s Reader[K, V]) Name() string { return s.r.Name() }

// Get returns the value of key. The bool says whether there is one.
func (s Reader[K, V]) Get(key K) (V, bool, error) {
	v, _, ok, err := s.r.Get(key)
	return v, ok, err
}

// GetTimestamped is Get with the timestamp of the last write.
func (s Reader[K, V]) GetTimestamped(key K) (V, processor.Timestamp, bool, error) {
	v, at, ok, err := s.r.Get(key)
	return v, processor.Timestamp(at), ok, err
}

// Range yields the rows with from <= key <= to.
func (s Reader[K, V]) Range(from, to K) iter.Seq2[Entry[K, V], error] {
	return s.between(&from, &to, false)
}

// ReverseRange is Range in descending order.
func (s Reader[K, V]) ReverseRange(from, to K) iter.Seq2[Entry[K, V], error] {
	return s.between(&from, &to, true)
}

// All yields all rows.
func (s Reader[K, V]) All() iter.Seq2[Entry[K, V], error] { return s.between(nil, nil, false) }

// PrefixScan yields the rows whose encoded keys begin with prefix.
func (s Reader[K, V]) PrefixScan(prefix []byte) iter.Seq2[Entry[K, V], error] {
	return s.scan(bytes.Clone(prefix), engine.PrefixEnd(prefix), false)
}

func (s Reader[K, V]) between(from, to *K, reverse bool) iter.Seq2[Entry[K, V], error] {
	lower, upper, err := s.r.Bounds(from, to)
	if err != nil {
		return func(yield func(Entry[K, V], error) bool) { yield(Entry[K, V]{}, err) }
	}
	return s.scan(lower, upper, reverse)
}

func (s Reader[K, V]) scan(lower, upper []byte, reverse bool) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		for row, err := range s.r.Scan(lower, upper, reverse) {
			if !yield(Entry[K, V]{row.Key, row.Value, processor.Timestamp(row.Timestamp)}, err) {
				return
			}
		}
	}
}
