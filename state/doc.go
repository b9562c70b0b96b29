// Package state has the typed stores of processors and tables.
//
// A spec describes a store: its name, its serdes and how it is kept. It is a value that
// the program makes once, gives to the processors that use the store, and opens in their
// Init:
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
// A write is seen by reads of the same task at once. It becomes part of the committed
// state together with the input records that led to it and the records that were sent, or
// not at all: an aborted transaction, a crash, a lost disk or a move to another process
// leave the store as of some commit, the last one when processing goes on
// ([WithoutChangelog] gives a part of this up). So a store of another task, or of another
// process, never shows through, and a query shows committed state only.
//
// Every task has an instance of its own. Keys are in order of the unsigned bytes of their
// encoding, which is not the order of the values for every serde: negative numbers come
// after positive ones.
//
// Values that a store returns may be shared with the store's memory: a pointer, slice or
// map that was read may be changed only by who then puts it back under the same key.
package state
