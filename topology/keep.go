package topology

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/serde"
)

// SourceTable reads a topic as a table. A record is the new row of its key; a record
// without a value deletes the row. The store has the name of the topic, so the changelog
// is <app>-<topic>-changelog. With [SourceAsChangelog], the topic itself is the
// changelog.
//
// The topic should be compacted. If the broker deletes old records from it
// (cleanup.policy=delete), that deletes no rows: a row stays in the table until a record
// deletes it. But an application that begins later lacks the rows of the deleted records.
// At each start, a warning in the log says so, and HookTableRetention is told.
//
// Records without a key are dropped, and counted as dropped. Records are applied in order
// of offset, and a row has the timestamp of its record. A record also replaces the row if
// its timestamp is older than the row's, unless the table is [Versioned].
func SourceTable[K, V any](b *Builder, topic string, ks serde.Serde[K], vs serde.Serde[V], opts ...SourceTableOption) Table[K, V] {
	var o sourceTableOptions
	for _, opt := range withoutNil(opts) {
		opt.applySourceTable(&o)
	}
	s := sources(b, []string{topic}, ks, vs, o.source)
	n := b.add(&node{op: "table"}, "", s.n)
	if !o.fromTopic {
		return keep(s.flow, n, topic, o.table)
	}
	b.checkFromTopic(n, ks, o)
	if !o.table.withoutStore {
		o.table.withoutChangelog, o.table.fromTopic = true, true
	}
	t := keep(s.flow, n, topic, o.table)
	if !isNil(ks) && !isNil(vs) {
		source := operator.Source[K, V]{Keys: ks, Values: vs, Timestamps: o.source.timestamps}
		n.fromTopic = &graph.FromTopic{Topic: topic, Row: operator.TopicRows[K, V]{Source: source, Node: s.n.name, Table: n.name}.Row}
	}
	return t
}

// ToTable makes a table from the stream. A record is the new row of its key; a record
// without a value deletes the row. name is the name of the table and of its store. The
// rest is as for [SourceTable].
//
// If the key may have changed since the last source or repartition, the records first go
// through the topic <app>-<name>-repartition.
func (s Stream[K, V]) ToTable(name string, opts ...ToTableOption) Table[K, V] {
	var o tableOptions
	for _, opt := range withoutNil(opts) {
		opt.applyToTable(&o)
	}
	in := s.flow
	if in.rekeyed {
		in = repartition(in, "toTable", name, repartitionOptions{})
	}
	return keep(in, in.b.addNamedTable("toTable", name, in.n), name, o)
}

// Stored keeps the rows of a table in a store of its own, with the given name. The rows
// can be queried there. The returned table forwards what a table with a store forwards. A
// row keeps its timestamp. Stored is for tables without a store, but any table can be
// stored once more. Behind Filter, it does not forward the deletion of a row that it does
// not have, if an operator on the result needs old values.
func (t Table[K, V]) Stored(name string, opts ...TableOption) Table[K, V] {
	o := chosenTable(opts)
	in := flow[K, V]{b: t.b, n: t.n, keys: t.keys, values: t.values}
	stored := keep(in, t.b.addNamedTable("stored", name, t.n), name, o)
	t.b.refuseCombine(stored.n, o)
	stored.window = t.window
	return stored
}

// addNamedTable adds a node that keep makes the node of a table.
func (b *Builder) addNamedTable(op, name string, parent *node) *node {
	n := b.add(&node{op: op}, name, parent)
	b.needName(n, name, "its table, store and changelog")
	return n
}

// keep makes n the node of a table. The rows of the table are the records of the stream.
func keep[K, V any](s flow[K, V], n *node, store string, o tableOptions) Table[K, V] {
	store = s.b.keep(n, store, serdes{s.keys, s.values}, o)
	ofTable := n.op == "stored"
	n.make = operator.Keep[K, V]{
		Store: store, Keys: s.keys, Values: s.values, EveryUpdate: o.everyUpdate, EveryDeletion: o.fromTopic,
		OfTable: ofTable, OfFilter: ofTable && (s.n.op == "filter" || s.n.op == "filterNot"),
	}.New
	t := Table[K, V]{b: s.b, n: n, name: store, keys: s.keys, values: s.values}
	if store != "" {
		t.rows = rows[K, V]{operator.StoredRows[K, V]{Store: store, Keys: s.keys}, []*node{n}, o.history}
		if !isNil(s.keys) && !isNil(s.values) {
			n.stores = []storeUse{keyValueStore(store, s.keys, s.values, o)}
		}
	}
	return t
}

// keep makes n the node of a table, and returns the name of its store, "" if it is to
// have none.
func (b *Builder) keep(n *node, store string, s serdes, o tableOptions) string {
	n.kind, n.keyed, n.table = graph.Processor, true, true
	b.checkTTL(n, o)
	if n.withoutStore = o.withoutStore; n.withoutStore {
		if o != (tableOptions{withoutStore: true}) {
			b.problem("%v: has WithoutStore together with an option of a store: remove one of them", n)
		}
		return ""
	}
	if store != "" {
		b.needSerdes(n, s, "to store them")
	}
	return store
}

// addStore says, for errors, how the table of n gets a store.
func (n *node) addStore() string {
	if bare := n.madeWithoutStore(); bare != nil {
		return fmt.Sprintf("remove WithoutStore where %v is made, or call Stored on the table first", bare)
	}
	return "call Stored on the table first"
}

// madeWithoutStore returns the table with the option [WithoutStore] from which the table
// of n is derived, or nil.
func (n *node) madeWithoutStore() *node {
	switch {
	case n.withoutStore:
		return n
	case !n.table || len(n.stores) > 0:
		return nil
	}
	for _, p := range n.parents {
		if bare := p.madeWithoutStore(); bare != nil {
			return bare
		}
	}
	return nil
}
