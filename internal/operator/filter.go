package operator

import "github.com/millrace-streams/millrace/internal/graph"

// Filter passes on, unchanged, the records for which Keep returns true.
type Filter[K, V any] struct {
	Keep func(*graph.Record[K, V]) (bool, error)
}

// New makes the node's instance for one task.
func (c Filter[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, V](children)
	return &filter[K, V]{predicate[K, V]{base{t, n}, c.Keep}, next}, err
}

type filter[K, V any] struct {
	predicate predicate[K, V]
	next      graph.Receiver[K, V]
}

func (f *filter[K, V]) Receive(r *graph.Record[K, V]) error {
	ok, err := f.predicate.call(r)
	if err != nil {
		if ok, err = f.predicate.callFailed(r, err); err != nil {
			return err
		}
	}
	if !ok {
		return nil
	}
	return f.next.Receive(r)
}

// predicate calls a user function.
type predicate[K, V any] struct {
	base base
	is   func(*graph.Record[K, V]) (bool, error)
}

func (f *predicate[K, V]) call(r *graph.Record[K, V]) (ok bool, err error) {
	defer graph.Guard(&err)
	return f.is(r)
}

// callFailed gives an error of the function to the error policy. If the policy skips the
// error, the result is false.
func (f *predicate[K, V]) callFailed(r *graph.Record[K, V], err error) (yes bool, failure error) {
	ok, failure := f.base.failed(err, func() (err error) { yes, err = f.call(r); return err })
	return ok && yes, failure
}

// KeyFilter drops the records without a key.
type KeyFilter[K, V any] struct{}

// New makes the node's instance for one task.
func (KeyFilter[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, V](children)
	return &keyFilter[K, V]{base: base{t, n}, next: next}, err
}

type keyFilter[K, V any] struct {
	base base
	next graph.Receiver[K, V]
}

func (f *keyFilter[K, V]) Receive(r *graph.Record[K, V]) error {
	if r.NoKey {
		f.base.drop(nullKey)
		return nil
	}
	return f.next.Receive(r)
}
