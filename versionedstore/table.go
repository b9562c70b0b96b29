package versionedstore

import (
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Table is a table as [OpenTable] takes it: a topology.Table with the option
// topology.Versioned.
type Table[K, V any] interface {
	processor.StoreSpec
	KeySerde() serde.Serde[K]
	ValueSerde() serde.Serde[V]
}

// OpenTable returns the versions of the rows of a table for reading. Call it in Init.
//
// If the processor was not given the table when the topology was built, that is a
// programming mistake: OpenTable panics with an error that says so, and Init fails.
//
// See state.OpenTable about which rows the processor sees, and why it cannot write.
func OpenTable[K, V, K2, V2 any](ctx processor.Context[K2, V2], table Table[K, V]) Reader[K, V] {
	instance := store.OpenTable(ctx, table)
	core, ok := instance.(*store.Versions[K, V])
	if !ok {
		panic(store.OtherTable(table))
	}
	return reader[K, V]{&versions[K, V]{core, core.Core(), store.User{}}}
}

// reader hides the methods that write.
type reader[K, V any] struct{ Reader[K, V] }
