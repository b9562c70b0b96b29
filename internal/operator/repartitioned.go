package operator

import (
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Repartitioned is the Source of a repartition topic, which may have partials.
type Repartitioned[K, V any] struct{ Source Source[K, V] }

// New makes the node's instance for one task.
func (c Repartitioned[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	s, err := c.Source.open(t, n, children)
	r := &repartitioned[K, V]{source: s}
	for _, child := range children {
		if p, ok := child.(partialReceiver[K]); ok {
			r.partials = append(r.partials, p)
		} else {
			r.others++
		}
	}
	return r, err
}

// repartitioned is the instance of a Repartitioned node.
type repartitioned[K, V any] struct {
	source   *source[K, V]
	partials []partialReceiver[K] // the children that take partials
	others   int                  // how many children do not
	part     partial[K]
}

func (s *repartitioned[K, V]) Timestamp(in *graph.Input, partitionTime processor.Timestamp) (ts processor.Timestamp, ok bool, err error) {
	return s.source.Timestamp(in, partitionTime)
}

func (s *repartitioned[K, V]) Receive(in *graph.Input) error {
	if isPartial(in.Headers) {
		return s.receivePartial(in)
	}
	return s.source.Receive(in)
}

// receivePartial passes a partial to the aggregations that can merge it. Other children
// do not get it: they were added to the application after the partial was sent.
func (s *repartitioned[K, V]) receivePartial(in *graph.Input) error {
	if err := s.decode(in); err != nil {
		if ok, failure := s.decodeFailed(in, err); !ok {
			return failure
		}
	}
	for range s.others {
		s.source.base.drop(partialRecord)
	}
	for _, to := range s.partials {
		if err := to.ReceivePartial(&s.part); err != nil {
			return err
		}
	}
	return nil
}

func (s *repartitioned[K, V]) decodeFailed(in *graph.Input, err error) (ok bool, failure error) {
	return s.source.base.task.Fail(s.source.base.node, processor.Decode, err, func() error { return s.decode(in) })
}

// decode sets part.
func (s *repartitioned[K, V]) decode(in *graph.Input) (err error) {
	defer graph.Guard(&err)
	if err := checkPartial(in.Headers); err != nil {
		return err
	}
	if in.Key == nil || in.Value == nil {
		return errors.New("a partial result has no key or no value")
	}
	key, err := s.source.c.Keys.Decode(in.Key)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	s.part.Key, s.part.KeyBytes, s.part.encoded = key, in.Key, in.Value
	s.part.Timestamp, s.part.Headers = in.Timestamp, unmarked(in.Headers)
	return nil
}
