package operator

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
)

// receiverOf returns the receiver for what a node forwards: its only child, or a fan-out.
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

// PassThrough is a node that changes nothing. It has no instance of its own: its parents
// call its children.
type PassThrough[K, V any] struct{}

// New returns the receiver of the children.
func (PassThrough[K, V]) New(_ graph.Task, _ *graph.Node, children []any) (any, error) {
	return receiverOf[K, V](children)
}
