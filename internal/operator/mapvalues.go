package operator

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// MapValues gives each record another value, and leaves the rest as it is. An absent
// value stays absent without a call of Convert, unless In is Optional. The serdes, of the
// old and of the new values, may be nil.
type MapValues[K, V, V2 any] struct {
	Convert func(*graph.Record[K, V]) (V2, error)
	In      serde.Serde[V]
	Out     serde.Serde[V2]
}

// New makes the node's instance for one task.
func (c MapValues[K, V, V2]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, V2](children)
	return &mapValues[K, V, V2]{
		base: base{t, n}, convert: c.Convert, absentToo: absenceOf(c.In).expressible(), values: absenceOf(c.Out), next: next,
	}, err
}

type mapValues[K, V, V2 any] struct {
	base
	convert   func(*graph.Record[K, V]) (V2, error)
	absentToo bool // call convert for absent values
	values    absence[V2]
	out       graph.Record[K, V2]
	next      graph.Receiver[K, V2]
}

func (m *mapValues[K, V, V2]) Receive(r *graph.Record[K, V]) error {
	copyKey(&m.out, r)
	if r.NoValue && !m.absentToo {
		var none V2
		m.out.Value, m.out.NoValue = none, true
		return m.next.Receive(&m.out)
	}
	if err := m.call(r); err != nil {
		if ok, failure := m.failed(err, func() error { return m.call(r) }); !ok {
			return failure
		}
	}
	m.out.NoValue = m.values.is(m.out.Value)
	return m.next.Receive(&m.out)
}

func (m *mapValues[K, V, V2]) call(r *graph.Record[K, V]) (err error) {
	defer graph.Guard(&err)
	m.out.Value, err = m.convert(r)
	return err
}

// copyKey copies all but the value.
func copyKey[K, V, V2 any](out *graph.Record[K, V2], r *graph.Record[K, V]) {
	out.Key, out.NoKey, out.KeyBytes = r.Key, r.NoKey, r.KeyBytes
	out.Timestamp, out.Headers = r.Timestamp, r.Headers
}

// FlatMapValues turns each record into any number of records that differ in their values.
// Absent values are treated as by MapValues.
type FlatMapValues[K, V, V2 any] struct {
	Convert func(*graph.Record[K, V]) ([]V2, error)
	In      serde.Serde[V]
	Out     serde.Serde[V2]
}

// New makes the node's instance for one task.
func (c FlatMapValues[K, V, V2]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, V2](children)
	return &flatMapValues[K, V, V2]{
		base: base{t, n}, convert: c.Convert, absentToo: absenceOf(c.In).expressible(), values: absenceOf(c.Out), next: next,
	}, err
}

type flatMapValues[K, V, V2 any] struct {
	base
	convert   func(*graph.Record[K, V]) ([]V2, error)
	absentToo bool // call convert for absent values
	values    absence[V2]
	out       graph.Record[K, V2]
	next      graph.Receiver[K, V2]
}

func (m *flatMapValues[K, V, V2]) Receive(r *graph.Record[K, V]) error {
	copyKey(&m.out, r)
	if r.NoValue && !m.absentToo {
		var none V2
		m.out.Value, m.out.NoValue = none, true
		return m.next.Receive(&m.out)
	}
	values, err := m.call(r)
	if err != nil {
		if values, err = m.callFailed(r, err); err != nil {
			return err
		}
	}
	for _, v := range values {
		m.out.Value, m.out.NoValue = v, m.values.is(v)
		if err := m.next.Receive(&m.out); err != nil {
			return err
		}
	}
	return nil
}

func (m *flatMapValues[K, V, V2]) call(r *graph.Record[K, V]) (values []V2, err error) {
	defer graph.Guard(&err)
	return m.convert(r)
}

func (m *flatMapValues[K, V, V2]) callFailed(r *graph.Record[K, V], err error) (values []V2, failure error) {
	ok, failure := m.failed(err, func() (err error) { values, err = m.call(r); return err })
	if !ok {
		values = nil
	}
	return values, failure
}
