package operator

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Map turns each record into another one, which may have another key. The serdes may be
// nil.
type Map[K, V, K2, V2 any] struct {
	Convert func(out *processor.Record[K2, V2], in *graph.Record[K, V]) error
	Keys    serde.Serde[K2]
	Values  serde.Serde[V2]
}

// New makes the node's instance for one task.
func (c Map[K, V, K2, V2]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K2, V2](children)
	return &mapping[K, V, K2, V2]{
		base: base{t, n}, convert: c.Convert, keys: absenceOf(c.Keys), values: absenceOf(c.Values), next: next,
	}, err
}

type mapping[K, V, K2, V2 any] struct {
	base    base
	convert func(*processor.Record[K2, V2], *graph.Record[K, V]) error
	keys    absence[K2]
	values  absence[V2]
	out     graph.Record[K2, V2]
	next    graph.Receiver[K2, V2]
}

func (m *mapping[K, V, K2, V2]) Receive(r *graph.Record[K, V]) error {
	if err := m.call(r); err != nil {
		if ok, failure := m.base.failed(err, func() error { return m.call(r) }); !ok {
			return failure
		}
	}
	normalize(&m.out.Record, m.keys, m.values)
	return m.next.Receive(&m.out)
}

func (m *mapping[K, V, K2, V2]) call(r *graph.Record[K, V]) (err error) {
	defer graph.Guard(&err)
	if err := m.convert(&m.out.Record, r); err != nil {
		return err
	}
	m.out.Timestamp = timestampOr(m.out.Timestamp, r.Timestamp)
	return checkTimestamp(m.out.Timestamp)
}

// timestampOr returns the timestamp of a record that user code made: at or, if it set
// none, that of the call.
func timestampOr(at, call processor.Timestamp) processor.Timestamp {
	if at == 0 {
		return call
	}
	return at
}

// checkTimestamp refuses a timestamp that a user function made and no record can have.
func checkTimestamp(at processor.Timestamp) error {
	if at < 0 {
		return fmt.Errorf("the timestamp %d of the record that the function returned is negative", int64(at))
	}
	return nil
}
