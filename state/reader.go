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

// Table is a table as [OpenTable] takes it: a topology.Table.
type Table[K, V any] interface {
	processor.StoreSpec
	KeySerde() serde.Serde[K]
	ValueSerde() serde.Serde[V]
}

// Reader reads a global store or the store of a table, in a processor that does not write
// it. Only the goroutine of the processor's task may use it, inside Init, Process, Flush
// and punctuators.
//
// Get returns the newest row. A range read yields the rows in the order of the bytes of
// their keys, and both bounds are inclusive. It ends at the first error, which it yields
// with a zero Entry.
//
//   - Global store: another goroutine of the same process writes it. A range read sees
//     the rows as they are when its loop begins.
//   - Table: the operators of the same task write it. A range read yields each row as it
//     is when the loop reaches it.
//
// A value that a Reader returns may be shared with other calls, so it must not be
// changed.
type Reader[K, V any] struct {
	r rows[K, V]
}

// rows is what a Reader reads: a [store.Reader] or [store.TableRows].
type rows[K, V any] interface {
	processor.Store
	Get(key K) (value V, timestamp int64, ok bool, err error)
	Bounds(from, to *K) (lower, upper []byte, err error)
	Scan(lower, upper []byte, reverse bool) iter.Seq2[store.Row[K, V], error]
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

// OpenTable returns the rows of a table for reading. Call it in Init. If the processor
// was not given the table when the topology was built, that is a programming mistake:
// OpenTable panics with an error that says so, and Init fails.
//
//	topology.Process(orders, "check", newChecker, serde.String, orderSerde, users)
//
//	p.users = state.OpenTable(ctx, users) // in Init
//
// The processor sees the rows of its own task, as a join of a stream with the table does:
//
//   - A row is there as soon as the table's operator has processed its record, also if
//     the update is only forwarded at the commit.
//   - A row that has expired (topology.TTL) is not found.
//   - Of a table that keeps versions (topology.Versioned), the newest versions are read.
//     versionedstore.OpenTable also reads earlier ones.
//
// Only the table may write its store: a write by a processor would change a row without
// an update to the operators behind the table. To change rows, send records to the topic
// or the stream from which the table is made.
//
// The table must have a store. Tables that Filter, MapTable and joins of tables return
// have none: call Stored on them. The table and the processor are then in one
// sub-topology. If their topics have different numbers of partitions, Run logs a warning.
func OpenTable[K, V, K2, V2 any](ctx processor.Context[K2, V2], table Table[K, V]) Reader[K, V] {
	instance := store.OpenTable(ctx, table)
	r, ok := store.TableRowsOf[K, V](instance)
	if !ok {
		panic(store.OtherTable(table))
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
