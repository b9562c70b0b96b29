package operator

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// CogroupInput is the node of one input of a cogroup. It passes the records on to the
// aggregation, which does not know the types of their values: it gets a Contribution in
// place of each value.
type CogroupInput[K, V, A any] struct {
	Add func(last A, r processor.Record[K, V]) (A, error)
}

// Contribution is a record of an input of a cogroup, as the aggregation sees it. It is
// valid while the aggregation handles the record.
type Contribution[A any] interface {
	addTo(last A) (A, error)
}

// AddContributions returns the adder of a cogroup's aggregation.
func AddContributions[K, A any](initial func() A) Adder[K, Contribution[A], A] {
	return func(last A, exists bool, r *graph.Record[K, Contribution[A]]) (_ A, _ bool, err error) {
		if !exists {
			last = initial()
		}
		last, err = r.Value.addTo(last)
		return last, true, err
	}
}

// New makes the node's instance for one task.
func (c CogroupInput[K, V, A]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, ok := children[0].(graph.Receiver[K, Contribution[A]])
	if !ok {
		return nil, fmt.Errorf("child %T is not the aggregation of a cogroup", children[0])
	}
	in := &cogroupInput[K, V, A]{add: c.Add, next: next}
	in.out.Value = in
	if of, ok := next.(clocked); ok {
		in.clock, in.time = of.ownClock(), t.Time(n.Name)
	}
	return in, nil
}

type cogroupInput[K, V, A any] struct {
	add  func(last A, r processor.Record[K, V]) (A, error)
	next graph.Receiver[K, Contribution[A]]
	r    *graph.Record[K, V] // the current record
	out  graph.Record[K, Contribution[A]]

	// clock is that of the aggregation, nil without windows. time is the stream time of
	// this input.
	clock *clock
	time  *processor.Timestamp
}

func (in *cogroupInput[K, V, A]) Receive(r *graph.Record[K, V]) error {
	in.r = r
	in.out.Key, in.out.NoKey, in.out.NoValue, in.out.KeyBytes = r.Key, r.NoKey, r.NoValue, r.KeyBytes
	in.out.Timestamp, in.out.Headers = r.Timestamp, r.Headers
	if in.clock != nil {
		in.clock.input = in.time
	}
	return in.next.Receive(&in.out)
}

// addTo implements Contribution.
func (in *cogroupInput[K, V, A]) addTo(last A) (A, error) { return in.add(last, in.r.Record) }
