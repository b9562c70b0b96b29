package operator

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// FlatMap turns each record into any number of records. The slice that Convert returns is
// read before Convert is called again. The serdes may be nil.
type FlatMap[K, V, K2, V2 any] struct {
	Convert func(processor.Record[K, V]) ([]processor.Record[K2, V2], error)
	Keys    serde.Serde[K2]
	Values  serde.Serde[V2]
}

// New makes the node's instance for one task.
func (c FlatMap[K, V, K2, V2]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K2, V2](children)
	return &flatMap[K, V, K2, V2]{
		base: base{t, n}, convert: c.Convert, keys: absenceOf(c.Keys), values: absenceOf(c.Values), next: next,
	}, err
}

type flatMap[K, V, K2, V2 any] struct {
	base    base
	convert func(processor.Record[K, V]) ([]processor.Record[K2, V2], error)
	keys    absence[K2]
	values  absence[V2]
	out     graph.Record[K2, V2]
	next    graph.Receiver[K2, V2]
}

func (m *flatMap[K, V, K2, V2]) Receive(r *graph.Record[K, V]) error {
	records, err := m.call(r)
	if err != nil {
		if records, err = m.callFailed(r, err); err != nil {
			return err
		}
	}
	for i := range records {
		m.out.Record = records[i]
		m.out.Timestamp = timestampOr(records[i].Timestamp, r.Timestamp)
		normalize(&m.out.Record, m.keys, m.values)
		if err := m.next.Receive(&m.out); err != nil {
			return err
		}
	}
	return nil
}

func (m *flatMap[K, V, K2, V2]) call(r *graph.Record[K, V]) (records []processor.Record[K2, V2], err error) {
	defer graph.Guard(&err)
	if records, err = m.convert(r.Record); err != nil {
		return nil, err
	}
	for i := range records {
		if err := checkTimestamp(records[i].Timestamp); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func (m *flatMap[K, V, K2, V2]) callFailed(r *graph.Record[K, V], err error) (records []processor.Record[K2, V2], failure error) {
	ok, failure := m.base.failed(err, func() (err error) { records, err = m.call(r); return err })
	if !ok {
		records = nil
	}
	return records, failure
}
