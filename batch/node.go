package batch

import "github.com/millrace-streams/millrace/processor"

// receive takes a record on its way from the stamping processor to the combiners. The
// record belongs to the caller, who uses it again, and is valid during the call.
type receive[K, V any] func(r *processor.Record[K, V]) error

// node is a point between two operators on batches. The operators of one Every form a
// tree in one processor: so a record has one stamp for all of them, and counts in all
// results or, if one of the user's functions fails, in none.
type node[K, V any] struct {
	children []func(s *stamps) receive[K, V]
}

// attach adds an operator under n, and returns the node behind it.
func attach[K, V, K2, V2 any](n *node[K, V], operator func(next receive[K2, V2]) receive[K, V]) *node[K2, V2] {
	behind := &node[K2, V2]{}
	n.end(func(s *stamps) receive[K, V] {
		if len(behind.children) == 0 {
			return nil
		}
		return operator(behind.instance(s))
	})
	return behind
}

// end adds what a branch of the tree ends with.
func (n *node[K, V]) end(child func(s *stamps) receive[K, V]) {
	n.children = append(n.children, child)
}

// instance returns what passes a record to all children in one task. Children that lead
// nowhere are nil.
func (n *node[K, V]) instance(s *stamps) receive[K, V] {
	var next []receive[K, V]
	for _, child := range n.children {
		if r := child(s); r != nil {
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
