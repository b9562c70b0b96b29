package topology

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/serde"
)

// JoinTables joins the rows of two tables that have the same key. The result has a row
// for each key that has a row in both tables. An update of either table updates the
// result, and a deletion deletes its row. The result has no store; see [Table.Stored].
//
// A row of the result has the larger timestamp of the two rows, and the headers of the
// update that made it. A deletion has the larger timestamp of the deletion and the other
// table's row. If the other table has a row, a deletion is forwarded even if the deleted
// row did not exist. There are no late records: updates are applied in the order in which
// they arrive. If the serde is Optional (see serde.Nullable), an absent result is an
// absent row.
//
// An update of one table meets the row that the other table has forwarded last. The
// updates of the result are therefore consistent with one another, even if the tables
// merge their updates. If both rows change between two commits, the result changes twice
// at the commit, first with the old row of the table that was made later. If an operator
// on the result needs old values, f is also called for them. The result of f must
// therefore depend on its arguments only.
//
// As for [Join], the topics behind the two tables must have the same number of
// partitions, and each table must have a store or be derived from tables that have one. A
// table may be joined with itself, or with a table that is derived from it. Each update
// then updates the result twice. If an operator such as GroupTable needs old values, the
// result then needs a store.
func JoinTables[K, L, R, V any](left Table[K, L], right Table[K, R], f func(l L, r R) V, vs serde.Serde[V], opts ...Option) Table[K, V] {
	return joinTables(left, right, tablesJoin[K, L, R, V]{
		op: "joinTables", given: f,
		join: func(l L, _ bool, r R, _ bool) (V, error) { return f(l, r), nil },
	}, vs, opts)
}

// TryJoinTables is JoinTables with a function that may fail. If the error policy skips
// the error, the row is absent in the result.
func TryJoinTables[K, L, R, V any](left Table[K, L], right Table[K, R], f func(l L, r R) (V, error), vs serde.Serde[V], opts ...Option) Table[K, V] {
	return joinTables(left, right, tablesJoin[K, L, R, V]{
		op: "joinTables", given: f,
		join: func(l L, _ bool, r R, _ bool) (V, error) { return f(l, r) },
	}, vs, opts)
}

// LeftJoinTables is [JoinTables] with a row for each row of the left table. If the right
// table has no row, ok is false and r is the zero value. For a right join, exchange the
// tables.
func LeftJoinTables[K, L, R, V any](left Table[K, L], right Table[K, R], f func(l L, r R, ok bool) V, vs serde.Serde[V], opts ...Option) Table[K, V] {
	return joinTables(left, right, tablesJoin[K, L, R, V]{
		op: "leftJoinTables", given: f, rule: operator.JoinRule{LeftAlone: true},
		join: func(l L, _ bool, r R, ok bool) (V, error) { return f(l, r, ok), nil },
	}, vs, opts)
}

// TryLeftJoinTables is LeftJoinTables with a function that may fail. See [TryJoinTables].
func TryLeftJoinTables[K, L, R, V any](left Table[K, L], right Table[K, R], f func(l L, r R, ok bool) (V, error), vs serde.Serde[V], opts ...Option) Table[K, V] {
	return joinTables(left, right, tablesJoin[K, L, R, V]{
		op: "leftJoinTables", given: f, rule: operator.JoinRule{LeftAlone: true},
		join: func(l L, _ bool, r R, ok bool) (V, error) { return f(l, r, ok) },
	}, vs, opts)
}

// OuterJoinTables is [JoinTables] with a row for each key that has a row in at least one
// of the tables. If a table has no row, its ok is false and its value is the zero value.
func OuterJoinTables[K, L, R, V any](left Table[K, L], right Table[K, R], f func(l L, lok bool, r R, rok bool) V, vs serde.Serde[V], opts ...Option) Table[K, V] {
	return joinTables(left, right, tablesJoin[K, L, R, V]{
		op: "outerJoinTables", given: f, rule: operator.JoinRule{LeftAlone: true, RightAlone: true},
		join: func(l L, lok bool, r R, rok bool) (V, error) { return f(l, lok, r, rok), nil },
	}, vs, opts)
}

// TryOuterJoinTables is OuterJoinTables with a function that may fail. See
// [TryJoinTables].
func TryOuterJoinTables[K, L, R, V any](left Table[K, L], right Table[K, R], f func(l L, lok bool, r R, rok bool) (V, error), vs serde.Serde[V], opts ...Option) Table[K, V] {
	return joinTables(left, right, tablesJoin[K, L, R, V]{
		op: "outerJoinTables", given: f, rule: operator.JoinRule{LeftAlone: true, RightAlone: true}, join: f,
	}, vs, opts)
}

// tablesJoin describes the join that joinTables adds.
type tablesJoin[K, L, R, V any] struct {
	op    string
	given any // the function that the user passed
	rule  operator.JoinRule
	join  operator.RowJoiner[L, R, V]
}

// joinTables adds a join of two tables. It has three nodes: one for the updates of each
// table, and one that merges them.
func joinTables[K, L, R, V any](left Table[K, L], right Table[K, R], j tablesJoin[K, L, R, V], vs serde.Serde[V], opts []Option) Table[K, V] {
	b := left.b
	merge := b.add(&node{kind: graph.Processor, op: j.op, table: true, make: operator.TableMerge[K, V]{}.New}, nameOf(opts), left.n)
	b.needFunc(merge, j.given)
	joined := Table[K, V]{b: b, n: merge, keys: left.keys, values: vs, window: left.window}
	if !b.sameBuilder(merge, right.b) {
		return joined
	}
	b.sameKeys(merge, left.keys, right.keys)
	related := left.n.above(right.rows.in) || right.n.above(left.rows.in)
	o := operator.TableJoin[K, L, R, V]{Right: right.rows.view, Rule: j.rule, Join: j.join, Out: vs, Related: related}
	side := func(way string, of *node, make maker) *node {
		// If an update reaches both sides, the old rows of the result are unknown.
		n := &node{kind: graph.Processor, op: j.op, keyed: true, table: !related, make: make}
		return b.addBefore(merge, n, way, of)
	}
	this := side("left", left.n, o.New)
	other := side("right", right.n, o.Flip(left.rows.view).New)
	b.lookUp(this, right.n, right.rows.in)
	b.lookUp(other, left.n, left.rows.in)
	merge.parents = []*node{this, other}
	if left.rows.view != nil && right.rows.view != nil {
		joined.rows = rows[K, V]{
			view: operator.JoinedRows[K, L, R, V]{Left: left.rows.view, Right: right.rows.view, Rule: j.rule, Join: j.join, Out: vs},
			in:   slices.Concat(left.rows.in, right.rows.in),
		}
	}
	return joined
}

// above reports whether n is one of the nodes, or records of one of them reach n.
func (n *node) above(nodes []*node) bool {
	return slices.Contains(nodes, n) || slices.ContainsFunc(n.parents, func(p *node) bool { return p.above(nodes) })
}
