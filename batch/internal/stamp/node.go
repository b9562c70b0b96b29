package stamp

import "github.com/millrace-streams/millrace/processor"

// Receive takes a record on its way from the stamper to the combiners. The caller owns
// the record and uses it again; it is valid during the call.
type Receive[K, V any] func(r *processor.Record[K, V]) error

// Node is a point between two operators. The operators of one Every form a tree in one
// processor. Therefore a record has one stamp in all results, and counts in all of them
// or, if a user function fails, in none.
type Node[K, V any] struct {
	children []func(t *task) Receive[K, V]
}

// Attach adds an operator under n, and returns the node behind the operator.
func Attach[K, V, K2, V2 any](n *Node[K, V], operator func(next Receive[K2, V2]) Receive[K, V]) *Node[K2, V2] {
	behind := &Node[K2, V2]{}
	n.children = append(n.children, func(t *task) Receive[K, V] {
		if len(behind.children) == 0 {
			return nil
		}
		return operator(behind.instance(t))
	})
	return behind
}

// instance returns the function that passes a record to all children in one task. A child
// that leads to no combiner is left out.
func (n *Node[K, V]) instance(t *task) Receive[K, V] {
	var next []Receive[K, V]
	for _, child := range n.children {
		if r := child(t); r != nil {
			next = append(next, r)
		}
	}
	if len(next) == 1 {
		return next[0]
	}
	return func(r *processor.Record[K, V]) error {
		for _, f := range next {
			if err := f(r); err != nil {
				return err
			}
		}
		return nil
	}
}
