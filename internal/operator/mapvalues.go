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
	return &mapValues[K, V, V2]{newValues: newValuesOf(base{t, n}, c.In, c.Out, next), convert: c.Convert}, err
}

type mapValues[K, V, V2 any] struct {
	newValues[K, V2]
	convert func(*graph.Record[K, V]) (V2, error)
}

func (m *mapValues[K, V, V2]) Receive(r *graph.Record[K, V]) error {
	if copyKey(&m.out, r); r.NoValue && !m.absentToo {
		return m.sendAbsent()
	}
	if err := m.call(r); err != nil {
		if ok, failure := m.base.failed(err, func() error { return m.call(r) }); !ok {
			return failure
		}
	}
	return m.send()
}

func (m *mapValues[K, V, V2]) call(r *graph.Record[K, V]) (err error) {
	defer graph.Guard(&err)
	m.out.Value, err = m.convert(r)
	return err
}

// newValues is shared by the nodes that change the values of records. The caller sets
// out.
type newValues[K, V2 any] struct {
	base      base
	absentToo bool // the function is called for absent values
	values    absence[V2]
	out       graph.Record[K, V2]
	next      graph.Receiver[K, V2]
}

func newValuesOf[K, V, V2 any](b base, in serde.Serde[V], out serde.Serde[V2], next graph.Receiver[K, V2]) newValues[K, V2] {
	return newValues[K, V2]{base: b, absentToo: absenceOf(in).expressible(), values: absenceOf(out), next: next}
}

// send sends out with its value.
func (m *newValues[K, V2]) send() error {
	m.out.NoValue = m.values.is(m.out.Value)
	return m.next.Receive(&m.out)
}

// sendAbsent sends out without a value.
func (m *newValues[K, V2]) sendAbsent() error {
	var none V2
	m.out.Value, m.out.NoValue = none, true
	return m.next.Receive(&m.out)
}

// copyKey copies all but the value.
func copyKey[K, V, V2 any](out *graph.Record[K, V2], r *graph.Record[K, V]) {
	out.Key, out.NoKey, out.KeyBytes = r.Key, r.NoKey, r.KeyBytes
	out.Timestamp, out.Headers, out.Earlier = r.Timestamp, r.Headers, r.Earlier
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
	return &flatMapValues[K, V, V2]{newValues: newValuesOf(base{t, n}, c.In, c.Out, next), convert: c.Convert}, err
}

type flatMapValues[K, V, V2 any] struct {
	newValues[K, V2]
	convert func(*graph.Record[K, V]) ([]V2, error)
}

func (m *flatMapValues[K, V, V2]) Receive(r *graph.Record[K, V]) error {
	if copyKey(&m.out, r); r.NoValue && !m.absentToo {
		return m.sendAbsent()
	}
	values, err := m.call(r)
	if err != nil {
		if values, err = m.callFailed(r, err); err != nil {
			return err
		}
	}
	for _, v := range values {
		m.out.Value = v
		if err := m.send(); err != nil {
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
	ok, failure := m.base.failed(err, func() (err error) { values, err = m.call(r); return err })
	if !ok {
		values = nil
	}
	return values, failure
}
