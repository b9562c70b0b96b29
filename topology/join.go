package topology

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/serde"
)

// Join joins each record of a stream with the row of its key in a table. A record for
// whose key there is no row has no result. Only records of the stream have results:
// updates of the table have none.
//
// The row is the newest one that the task has, also if the table has not forwarded it yet.
// Of the next record of the stream and the next one of the table, the task takes the one
// with the smaller timestamp first (see "Order" in the package documentation). Whether a
// record of the table is among them when the stream's record is processed is a matter of
// chance if it is written at about the same time; Config.TaskIdle waits for it.
// There are no late records: the row does not depend on the record's timestamp.
//
// The result has the key, the timestamp and the headers of the stream's record. Records
// without a key or without a value are dropped, and counted as dropped, whatever the
// serde. If the serde is Optional (see serde.Nullable), an absent result is a record
// without a value.
//
// Records with equal keys must meet in one task, so the topics behind the stream and those
// behind the table must have equally many partitions. Build or the start of the
// application returns an error if they have not. If the key of the stream may have changed
// since its last source or repartition, the records go through the topic
// <app>-<name>-repartition first, where name is that of the option [Named]. The topic has
// as many partitions as those behind the table.
//
// The table must have a store, or must have been made of tables that have one. f gets
// values that belong to the table, and must not change what they point to. A row of a
// windowed table is found for at least the retention of the table.
func Join[K, V, T, R any](s Stream[K, V], t Table[K, T], f func(v V, row T) R, rs serde.Serde[R], opts ...Option) Stream[K, R] {
	return joinTable(s, t, "join", false, f, func(v V, row T, _ bool) (R, error) { return f(v, row), nil }, rs, opts)
}

// TryJoin is Join with a function that may fail. If the error policy skips the record, it
// has no result.
func TryJoin[K, V, T, R any](s Stream[K, V], t Table[K, T], f func(v V, row T) (R, error), rs serde.Serde[R], opts ...Option) Stream[K, R] {
	return joinTable(s, t, "join", false, f, func(v V, row T, _ bool) (R, error) { return f(v, row) }, rs, opts)
}

// LeftJoin is [Join] with a result for each record of the stream: if there is no row, ok is
// false and row is the zero value. So it is for a record without a key, unless the records
// are repartitioned, which drops it.
func LeftJoin[K, V, T, R any](s Stream[K, V], t Table[K, T], f func(v V, row T, ok bool) R, rs serde.Serde[R], opts ...Option) Stream[K, R] {
	return joinTable(s, t, "leftJoin", true, f, func(v V, row T, ok bool) (R, error) { return f(v, row, ok), nil }, rs, opts)
}

// TryLeftJoin is LeftJoin with a function that may fail.
func TryLeftJoin[K, V, T, R any](s Stream[K, V], t Table[K, T], f func(v V, row T, ok bool) (R, error), rs serde.Serde[R], opts ...Option) Stream[K, R] {
	return joinTable(s, t, "leftJoin", true, f, f, rs, opts)
}

// joinTable adds a join of a stream with a table. given is the user's function.
func joinTable[K, V, T, R any](s Stream[K, V], t Table[K, T], op string, left bool, given any, f func(V, T, bool) (R, error), rs serde.Serde[R], opts []Option) Stream[K, R] {
	name := nameOf(opts)
	if s.rekeyed && name != "" {
		s = s.repartition(op, name, repartitionOptions{})
	}
	n := s.b.add(&node{kind: graph.Processor, op: op, keyed: true}, name, s.n)
	if s.rekeyed && name == "" {
		s.b.problem("%v: the key may have changed, so the records have to go through the topic <app>-<name>%s: give the join a name with topology.Named", n, graph.RepartitionSuffix)
	}
	s.b.needFunc(n, given)
	if s.b.sameBuilder(n, t.b) {
		lookUp(s.b, n, t)
		sameKeys(s.b, n, s.keys, t.keys)
	}
	n.make = operator.StreamTableJoin[K, V, T, R]{Table: t.rows.view, Left: left, Join: f, Out: rs}.New
	return Stream[K, R]{b: s.b, n: n, keys: s.keys, values: rs}
}

// lookUp lets n read the rows of a table.
func lookUp[K, V any](b *Builder, n *node, t Table[K, V]) {
	if t.rows.view == nil {
		b.problem("%v: table %q has no store, so its rows cannot be looked up: remove WithoutStore where it was made, or call Stored on it first", n, t.n.name)
	}
	for _, of := range t.rows.in {
		for _, use := range of.stores {
			if !slices.ContainsFunc(n.stores, func(u storeUse) bool { return u.spec.StoreName() == use.spec.StoreName() }) {
				n.stores = append(n.stores, use)
			}
		}
	}
}

// sameKeys reports two inputs of a join whose keys are written in different ways.
func sameKeys[K any](b *Builder, n *node, left, right serde.Serde[K]) {
	if !agree(left, right) {
		b.problem("%v: the keys have the serdes %s and %s: equal keys would lie in different partitions, and not be found: use one serde for both",
			n, serde.Name(left), serde.Name(right))
	}
}
