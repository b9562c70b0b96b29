// Package state has the typed stores of processors and tables.
//
// A spec describes a store: its name, its serdes and how it is kept. The program makes a
// spec once, gives it to the processors that use the store, and opens it in their Init:
//
//	var counts = state.KeyValue("counts", serde.String, serde.Int64)
//
//	func (p *counter) Init(ctx processor.Context[string, int64]) error {
//		p.counts = state.Open(ctx, counts)
//		return nil
//	}
//
// # Guarantees
//
// Reads of the same task see a write at once. Queries see committed state only. A write
// is committed together with the input records that caused it and the records that were
// sent, or not at all. After an aborted transaction, a crash, a lost disk or a move to
// another process, the store has the state of a commit; before processing continues, it
// has the state of the last one. [WithoutChangelog] gives up a part of this.
//
// Every task has its own instance of the store. It never shows data of another task or
// process.
//
// Keys are ordered by the unsigned bytes of their encoding. With some serdes, this is not
// the order of the values: negative numbers come after positive ones.
//
// Values that a store returns may share memory with the store. A pointer, slice or map
// from a store may therefore be changed only if it is then put back under the same key.
package state
