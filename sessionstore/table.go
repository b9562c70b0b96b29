package sessionstore

import (
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Table is a table with sessions, as [OpenTable] takes it: a topology.WindowedTable.
type Table[K, V any] interface {
	processor.StoreSpec
	KeySerde() serde.Serde[serde.Windowed[K]]
	ValueSerde() serde.Serde[V]
}

// OpenTable returns the sessions of a table for reading, without those that have expired.
// Call it in Init. Sessions that are not closed yet are among them, also with
// topology.WindowedTable.Final.
//
// If the processor was not given the table when the topology was built, that is a
// programming mistake: OpenTable panics with an error that says so, and Init fails.
//
// See state.OpenTable about which rows the processor sees, and why it cannot write.
func OpenTable[K, V, K2, V2 any](ctx processor.Context[K2, V2], table Table[K, V]) Reader[K, V] {
	instance := store.OpenTable(ctx, table)
	c, ok := instance.(*core[K, V])
	if !ok {
		panic(store.OtherTable(table))
	}
	return reader[K, V]{&sessions[K, V]{core: c, common: c.expiring.Core()}}
}

// reader hides the methods that write.
type reader[K, V any] struct{ Reader[K, V] }
