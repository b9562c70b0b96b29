package topology

import (
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// instance is what all nodes of a running task have.
type instance struct {
	task graph.Task
	node *graph.Node
}

func (i *instance) drop(reason string) { i.task.Drop(i.node, reason) }

// failed gives an error of the user's function to the error policy. ok says that again has succeeded.
func (i *instance) failed(err error, again func() error) (ok bool, failure error) {
	return i.task.Fail(i.node, processor.Process, err, again)
}

// broken makes an error with place of what no error policy may skip, because going on would give wrong results: a store that cannot be read.
func (i *instance) broken(err error) error {
	m := i.task.Metadata()
	return graph.Final(&processor.Error{
		Phase: processor.Process, Node: i.node.Name, Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Err: err,
	})
}

// Reasons of dropped records.
const (
	nullKey           = "null key"
	nullValue         = "null value"
	lateRecord        = "late record"
	invalidTimestamp  = "invalid timestamp"
	noPartitionChosen = "partitioner chose no partition"
)

// receiverOf returns the receiver for what a node forwards: its only child itself, or a fan-out. It is called once for each instance, so that
// forwarding needs no type assertion.
func receiverOf[K, V any](children []any) (graph.Receiver[K, V], error) {
	receivers, err := receiversOf[K, V](children)
	if err != nil {
		return nil, err
	}
	if len(receivers) == 1 {
		return receivers[0], nil
	}
	return fanOut[K, V](receivers), nil
}

func receiversOf[K, V any](children []any) ([]graph.Receiver[K, V], error) {
	receivers := make([]graph.Receiver[K, V], len(children))
	for i, child := range children {
		r, ok := child.(graph.Receiver[K, V])
		if !ok {
			return nil, fmt.Errorf("child %T does not receive %T", child, graph.Record[K, V]{})
		}
		receivers[i] = r
	}
	return receivers, nil
}

// fanOut passes records to several children in order, or to none.
type fanOut[K, V any] []graph.Receiver[K, V]

func (f fanOut[K, V]) Receive(r *graph.Record[K, V]) error {
	for _, child := range f {
		if err := child.Receive(r); err != nil {
			return err
		}
	}
	return nil
}

// absence knows which value of a type stands for "absent", if its serde is Optional.
type absence[T any] struct {
	optional serde.Optional[T]
}

func absenceOf[T any](s serde.Serde[T]) absence[T] {
	o, _ := s.(serde.Optional[T])
	return absence[T]{o}
}

// expressible says that functions are called with absent values.
func (a absence[T]) expressible() bool { return a.optional != nil }

// is reports whether v stands for "absent".
func (a absence[T]) is(v T) bool { return a.optional != nil && a.optional.Absent(v) }

// normalize makes NoKey and NoValue agree with key and value, and cuts the capacity of the headers, so that two users who append to them do not write
// to the same place.
func normalize[K, V any](r *processor.Record[K, V], keys absence[K], values absence[V]) {
	r.Headers = slices.Clip(r.Headers)
	if r.NoKey = r.NoKey || keys.is(r.Key); r.NoKey {
		var none K
		r.Key = none
	}
	if r.NoValue = r.NoValue || values.is(r.Value); r.NoValue {
		var none V
		r.Value = none
	}
}
