package operator

import (
	"cmp"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// JoinRule says which rows of two tables have a result.
type JoinRule struct {
	LeftAlone, RightAlone bool // a row without a row in the other table has a result
}

// flip is the rule with left and right exchanged.
func (r JoinRule) flip() JoinRule { return JoinRule{r.RightAlone, r.LeftAlone} }

// joins reports whether there is a result.
func (r JoinRule) joins(left, right bool) bool {
	return left && right || left && r.LeftAlone || right && r.RightAlone
}

// RowJoiner makes the result of two rows. If a row is absent, its value is the zero
// value.
type RowJoiner[A, B, R any] func(a A, hasA bool, b B, hasB bool) (R, error)

// Flip is the joiner with left and right exchanged.
func (f RowJoiner[A, B, R]) Flip() RowJoiner[B, A, R] {
	return func(b B, hasB bool, a A, hasA bool) (R, error) { return f(a, hasA, b, hasB) }
}

// TableJoin joins the updates of one table, the left one, with the rows of another. A
// join of two tables consists of two such nodes, one for the updates of each table. The
// package documentation says which row of the other table is used.
type TableJoin[K, A, B, R any] struct {
	Right View[K, B]
	Rule  JoinRule
	Join  RowJoiner[A, B, R]
	Out   serde.Serde[R]

	// Related says that an update may reach both tables of the join, as in a join of a
	// table with itself. Both rows may then be deleted in one update, so that neither
	// side finds a row. In that case the deletion is passed on.
	Related bool
}

// Flip is the node for the updates of the right table. left is the left one.
func (c TableJoin[K, A, B, R]) Flip(left View[K, A]) TableJoin[K, B, A, R] {
	return TableJoin[K, B, A, R]{Right: left, Rule: c.Rule.flip(), Join: c.Join.Flip(), Out: c.Out, Related: c.Related}
}

// New makes the node's instance for one task.
func (c TableJoin[K, A, B, R]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	u, err := updatesTo[K, R](children)
	if err != nil {
		return nil, err
	}
	right, err := c.Right.Open(t, Reading{Sent: true})
	return &tableJoin[K, A, B, R]{
		joining: joining{base{t, n}}, right: right,
		result: joinedValues[A, B, R]{c.Rule, c.Join, absenceOf(c.Out)}, related: c.Related, updates: u,
	}, err
}

type tableJoin[K, A, B, R any] struct {
	joining
	right   Lookup[K, B]
	result  joinedValues[A, B, R]
	related bool
	updates updates[K, R]
}

// joinedValues makes the value of a joined row.
type joinedValues[A, B, R any] struct {
	rule   JoinRule
	join   RowJoiner[A, B, R]
	values absence[R]
}

func (j *joinedValues[A, B, R]) of(a A, hasA bool, b B, hasB bool) (value R, there bool, err error) {
	if !j.rule.joins(hasA, hasB) {
		return value, false, nil
	}
	if value, err = j.join(a, hasA, b, hasB); err != nil || j.values.is(value) {
		var none R
		return none, false, err
	}
	return value, true, nil
}

func (j *tableJoin[K, A, B, R]) ReceiveChange(c *graph.Change[K, A]) error {
	if c.Earlier {
		j.drop(earlierVersion)
		return nil
	}
	right, failure := rowFor(&j.joining, j.right, c.Key, c.KeyBytes)
	if failure != nil {
		return failure
	}
	if j.unaffected(c, right.Present) {
		return nil
	}
	value, is, failure := j.of(c.Value, !c.NoValue, right, newRow)
	if failure != nil {
		return failure
	}
	if j.updates.needOld() {
		old, was, failure := j.of(c.Old, !c.NoOld, right, rowBefore)
		if failure != nil {
			return failure
		}
		j.updates.setOld(old, was)
	}
	// The row of the other table may be newer than the update.
	at := max(c.Timestamp, right.Timestamp)
	j.updates.set(c.Key, c.KeyBytes, value, is, int64(at), c.Headers)
	return j.updates.send()
}

// of returns the joined row. If the joiner fails, and the error policy skips the error,
// the row is absent.
func (j *tableJoin[K, A, B, R]) of(a A, hasA bool, right Row[B], which whichRow) (value R, there bool, failure error) {
	value, there, err := j.call(a, hasA, &right)
	if err != nil {
		value, there, err = j.callFailed(a, hasA, right, which, err)
	}
	return value, there, err
}

func (j *tableJoin[K, A, B, R]) call(a A, hasA bool, right *Row[B]) (value R, there bool, err error) {
	defer graph.Guard(&err)
	return j.result.of(a, hasA, right.Value, right.Present)
}

func (j *tableJoin[K, A, B, R]) callFailed(a A, hasA bool, right Row[B], which whichRow, err error) (value R, there bool, failure error) {
	ok, failure := j.joinFailed(which, err, func() (err error) { value, there, err = j.call(a, hasA, &right); return err })
	if !ok {
		var none R
		return none, false, failure
	}
	return value, there, nil
}

// unaffected reports whether the joined row was absent before the update and is absent
// after it, as far as this table shows. As in Kafka Streams, if the other table has a
// row, the deletion of an absent row is passed on.
func (j *tableJoin[K, A, B, R]) unaffected(c *graph.Change[K, A], right bool) bool {
	switch {
	case right, j.related && c.NoValue && !c.NoOld:
		return false
	case !j.result.rule.LeftAlone:
		return true
	}
	return c.NoValue && c.NoOld
}

// TableMerge passes on the updates of the two nodes of a join.
type TableMerge[K, V any] struct{}

// New makes the node's instance for one task.
func (TableMerge[K, V]) New(_ graph.Task, _ *graph.Node, children []any) (any, error) {
	u, err := updatesTo[K, V](children)
	if u.needOld() {
		return u.changes, err
	}
	return u.records, err
}

// JoinedRows are the rows of a join.
type JoinedRows[K, A, B, R any] struct {
	Left  View[K, A]
	Right View[K, B]
	Rule  JoinRule
	Join  RowJoiner[A, B, R]
	Out   serde.Serde[R]
}

// Open implements View.
func (v JoinedRows[K, A, B, R]) Open(t graph.Task, how Reading) (Lookup[K, R], error) {
	left, err := v.Left.Open(t, how)
	if err != nil {
		return nil, err
	}
	right, err := v.Right.Open(t, how)
	return &joinedRows[K, A, B, R]{left, right, joinedValues[A, B, R]{v.Rule, v.Join, absenceOf(v.Out)}}, err
}

type joinedRows[K, A, B, R any] struct {
	left   Lookup[K, A]
	right  Lookup[K, B]
	result joinedValues[A, B, R]
}

func (j *joinedRows[K, A, B, R]) Row(key K, encoding []byte) (row Row[R], err error) {
	left, ofLeft := j.left.Row(key, encoding)
	if graph.IsFinal(ofLeft) {
		return row, ofLeft
	}
	right, ofRight := j.right.Row(key, encoding)
	if graph.IsFinal(ofRight) {
		return row, ofRight
	}
	if row.Value, row.Present, err = j.call(&left, &right); row.Present {
		row.Timestamp = processor.Timestamp(max(left.Timestamp, right.Timestamp))
	}
	return row, cmp.Or(ofLeft, ofRight, err)
}

func (j *joinedRows[K, A, B, R]) call(left *Row[A], right *Row[B]) (value R, there bool, err error) {
	defer graph.Guard(&err)
	return j.result.of(left.Value, left.Present, right.Value, right.Present)
}
