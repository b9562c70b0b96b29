package topology

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
)

// Join joins each record of a stream with the row of its key in a table. If there is no
// row for the key, the record has no result. Only records of the stream have results;
// updates of the table have none.
//
// The row is the newest one that the task has, even if the table has not forwarded it
// yet. Between the next record of the stream and the next record of the table, the task
// takes the one with the smaller timestamp first (see "Order" in the package
// documentation). If the two records are written at about the same time, chance decides
// whether the stream's record sees the table's; Config.TaskIdle makes the task wait.
// There are no late records: the row does not depend on the record's timestamp.
//
// If the table is [Versioned], the row is the version that was valid at the record's
// timestamp. If the record is older than the table's history, the row is found only if it
// has not changed since. With [Grace], the record waits for late updates of the table.
//
// The result has the key, the timestamp and the headers of the stream's record. Records
// without a key or without a value are dropped, and counted as dropped, with any serde.
// If the serde is Optional (see serde.Nullable), an absent result is a record without a
// value.
//
// Records with equal keys must meet in one task. The topics behind the stream and those
// behind the table must therefore have the same number of partitions. If they do not,
// Build or the start of the application returns an error.
//
// If the key of the stream may have changed since its last source or repartition, the
// records first go through the topic <app>-<name>-repartition. The option [Named] gives
// the name. The topic has as many partitions as those behind the table.
//
// The table must have a store, or must be derived from tables that have one. The values
// that f gets belong to the table, and f must not change what they point to. A row of a
// windowed table is found for at least the retention of the table.
func Join[K, V, T, R any](s Stream[K, V], t Table[K, T], f func(v V, row T) R, rs serde.Serde[R], opts ...JoinOption) Stream[K, R] {
	return joinTable(s, t, "join", false, f, func(v V, row T, _ bool) (R, error) { return f(v, row), nil }, rs, opts)
}

// TryJoin is Join with a function that may fail. If the error policy skips the record,
// the record has no result.
func TryJoin[K, V, T, R any](s Stream[K, V], t Table[K, T], f func(v V, row T) (R, error), rs serde.Serde[R], opts ...JoinOption) Stream[K, R] {
	return joinTable(s, t, "join", false, f, func(v V, row T, _ bool) (R, error) { return f(v, row) }, rs, opts)
}

// LeftJoin is [Join] with a result for each record of the stream. If there is no row, ok
// is false and row is the zero value. The same holds for a record without a key, unless
// the records are repartitioned: a repartitioning drops it.
func LeftJoin[K, V, T, R any](s Stream[K, V], t Table[K, T], f func(v V, row T, ok bool) R, rs serde.Serde[R], opts ...JoinOption) Stream[K, R] {
	return joinTable(s, t, "leftJoin", true, f, func(v V, row T, ok bool) (R, error) { return f(v, row, ok), nil }, rs, opts)
}

// TryLeftJoin is LeftJoin with a function that may fail.
func TryLeftJoin[K, V, T, R any](s Stream[K, V], t Table[K, T], f func(v V, row T, ok bool) (R, error), rs serde.Serde[R], opts ...JoinOption) Stream[K, R] {
	return joinTable(s, t, "leftJoin", true, f, f, rs, opts)
}

// joinTable adds a join of a stream with a table. given is the function that the user
// passed.
func joinTable[K, V, T, R any](s Stream[K, V], t Table[K, T], op string, left bool, given any, f func(V, T, bool) (R, error), rs serde.Serde[R], opts []JoinOption) Stream[K, R] {
	var o tableJoinOptions
	for _, opt := range withoutNil(opts) {
		opt.applyJoin(&o)
	}
	name := o.name
	if s.rekeyed && name != "" {
		s.flow = repartition(s.flow, op, name, repartitionOptions{})
	}
	n := s.b.add(&node{kind: graph.Processor, op: op, keyed: true}, name, s.n)
	if s.rekeyed && name == "" {
		s.b.problem("%v: the key may have changed, so the records have to go through the topic <app>-<name>%s: give the join a name with topology.Named", n, graph.RepartitionSuffix)
	}
	s.b.needFunc(n, given)
	if s.b.sameBuilder(n, t.b) {
		s.b.lookUp(n, t.n, t.rows.in)
		s.b.sameKeys(n, s.keys, t.keys)
	}
	of := operator.StreamTableJoin[K, V, T, R]{Table: t.rows.view, Left: left, AsOf: t.rows.history > 0, Join: f, Out: rs}
	if o.hasGrace && s.b.checkGrace(n, name, o.grace, t.rows.history) {
		s.b.needSerdes(n, serdes{s.keys, s.values}, "to store the records that wait")
		of.Buffer, of.Grace, of.Keys = name+bufferPart, o.grace.Milliseconds(), s.keys
		if !isNil(s.keys) && !isNil(s.values) {
			n.stores = append(n.stores, waitingUse(of.Buffer, operator.Boxed(operator.BufferedKeys(s.keys)), operator.BufferedValues(s.values)))
		}
	}
	n.make = of.New
	return Stream[K, R]{flow[K, R]{b: s.b, n: n, keys: s.keys, values: rs}}
}

// lookUp makes n read the rows of a table. in are the nodes whose stores have the rows.
func (b *Builder) lookUp(n, table *node, in []*node) {
	if len(in) == 0 {
		b.problem("%v: table %q has no store, so its rows cannot be looked up: %s", n, table.name, table.addStore())
	}
	for _, of := range in {
		for _, use := range of.stores {
			if !slices.ContainsFunc(n.stores, func(u storeUse) bool { return u.spec.StoreName() == use.spec.StoreName() }) {
				use.lookUp = true
				n.stores = append(n.stores, use)
			}
		}
	}
}

// sameKeys reports a join whose two inputs encode their keys in different ways.
func (b *Builder) sameKeys(n *node, left, right any) {
	if !agree(left, right) {
		b.problem("%v: the keys have the serdes %s and %s, so equal keys would be in different partitions and would not be found: use one serde for both",
			n, serde.Name(left), serde.Name(right))
	}
}

// waitingUse returns the use of the store in which the records of a join wait.
func waitingUse(name string, keys serde.Serde[any], values serde.Serde[operator.Buffered]) storeUse {
	return storeUse{spec: store.NewKeyValue(name, keys, values, store.Options{}), waiting: true}
}
