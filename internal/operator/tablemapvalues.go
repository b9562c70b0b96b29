package operator

import (
	"github.com/millrace-streams/millrace/internal/graph"
)

// TableMapValues gives each row of a table another value. An absent row stays absent
// without a call of Convert, unless In is Optional. The serdes, of the old and of the new
// values, may be nil.
type TableMapValues[K, V, V2 any] MapValues[K, V, V2]

// New makes the node's instance for one task. If no child needs old rows, it is the same
// as for a stream.
func (c TableMapValues[K, V, V2]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	u, err := updatesTo[K, V2](children)
	if err != nil || !u.needOld() {
		return MapValues[K, V, V2](c).New(t, n, children)
	}
	return &changeMapValues[K, V, V2]{
		base: base{t, n}, convert: c.Convert, absentToo: absenceOf(c.In).expressible(), values: absenceOf(c.Out), updates: u,
	}, nil
}

// changeMapValues is a mapValues whose children need old rows.
type changeMapValues[K, V, V2 any] struct {
	base      base
	convert   func(*graph.Record[K, V]) (V2, error)
	absentToo bool // call convert for absent values
	values    absence[V2]
	updates   updates[K, V2]
	old       graph.Record[K, V] // scratch
}

func (m *changeMapValues[K, V, V2]) ReceiveChange(c *graph.Change[K, V]) error {
	m.old = oldRow(c)
	old, was, ok, failure := m.value(&m.old)
	if !ok {
		return failure
	}
	value, is, ok, failure := m.value(&c.Record)
	if !ok {
		return failure
	}
	out := &m.updates.out
	copyKey(&out.Record, &c.Record)
	out.Value, out.NoValue = value, !is
	m.updates.setOld(old, was)
	return m.updates.send()
}

// value returns the new value of a row, and whether the row is there. ok is false after a
// failure, and after an error of the function that the error policy has skipped.
func (m *changeMapValues[K, V, V2]) value(r *graph.Record[K, V]) (value V2, there, ok bool, failure error) {
	if r.NoValue && !m.absentToo {
		return value, false, true, nil
	}
	value, err := m.call(r)
	if err != nil {
		if value, ok, failure = m.callFailed(r, err); !ok {
			return value, false, false, failure
		}
	}
	there = !m.values.is(value)
	return valueIf(there, value), there, true, nil
}

func (m *changeMapValues[K, V, V2]) call(r *graph.Record[K, V]) (value V2, err error) {
	defer graph.Guard(&err)
	return m.convert(r)
}

func (m *changeMapValues[K, V, V2]) callFailed(r *graph.Record[K, V], err error) (value V2, ok bool, failure error) {
	ok, failure = m.base.failed(err, func() (err error) { value, err = m.call(r); return err })
	return value, ok, failure
}
