package operator

import (
	"github.com/millrace-streams/millrace/internal/graph"
)

// TableMapValues gives each row of a table another value. An absent row stays absent
// without a call of Convert, unless In is Optional. The serdes, of the old and of the new
// values, may be nil.
//
// If Convert fails for a row, and the error policy skips the error, the row is absent for
// the children.
type TableMapValues[K, V, V2 any] MapValues[K, V, V2]

// New makes the node's instance for one task.
func (c TableMapValues[K, V, V2]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	u, err := updatesTo[K, V2](children)
	m := mapRows[K, V, V2]{
		base: base{t, n}, convert: c.Convert, absentToo: absenceOf(c.In).expressible(), values: absenceOf(c.Out), updates: u,
	}
	if u.needOld() {
		return &changeMapValues[K, V, V2]{rows: m}, err
	}
	return &rowMapValues[K, V, V2]{rows: m}, err
}

// rowMapValues is a TableMapValues whose children need no old rows.
type rowMapValues[K, V, V2 any] struct{ rows mapRows[K, V, V2] }

func (m *rowMapValues[K, V, V2]) Receive(r *graph.Record[K, V]) error {
	if failure := m.rows.set(r); failure != nil {
		return failure
	}
	return m.rows.updates.send()
}

// changeMapValues is a TableMapValues whose children need old rows.
type changeMapValues[K, V, V2 any] struct {
	rows mapRows[K, V, V2]
	old  graph.Record[K, V] // scratch
}

func (m *changeMapValues[K, V, V2]) ReceiveChange(c *graph.Change[K, V]) error {
	m.old = oldRow(c)
	old, was, failure := m.rows.value(&m.old, rowBefore)
	if failure != nil {
		return failure
	}
	if failure := m.rows.set(&c.Record); failure != nil {
		return failure
	}
	m.rows.updates.setOld(old, was)
	return m.rows.updates.send()
}

// mapRows makes the new values of rows.
type mapRows[K, V, V2 any] struct {
	base      base
	convert   func(*graph.Record[K, V]) (V2, error)
	absentToo bool // call convert for absent values
	values    absence[V2]
	updates   updates[K, V2]
}

// set sets the new row of the next update.
func (m *mapRows[K, V, V2]) set(r *graph.Record[K, V]) (failure error) {
	value, there, failure := m.value(r, newRow)
	out := &m.updates.out
	copyKey(&out.Record, r)
	out.Value, out.NoValue = value, !there
	return failure
}

// value returns the new value of a row, and whether the row is there.
func (m *mapRows[K, V, V2]) value(r *graph.Record[K, V], which whichRow) (value V2, there bool, failure error) {
	if r.NoValue && !m.absentToo {
		return value, false, nil
	}
	value, err := m.call(r)
	if err != nil {
		ok, failure := false, error(nil)
		if value, ok, failure = m.callFailed(r, which, err); !ok {
			var none V2
			return none, false, failure
		}
	}
	there = !m.values.is(value)
	return valueIf(there, value), there, nil
}

func (m *mapRows[K, V, V2]) call(r *graph.Record[K, V]) (value V2, err error) {
	defer graph.Guard(&err)
	return m.convert(r)
}

func (m *mapRows[K, V, V2]) callFailed(r *graph.Record[K, V], which whichRow, err error) (value V2, ok bool, failure error) {
	ok, failure = m.base.failedFor(which, err, func() (err error) { value, err = m.call(r); return err })
	return value, ok, failure
}
