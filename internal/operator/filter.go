package operator

import "github.com/millrace-streams/millrace/internal/graph"

// Filter passes on, unchanged, the records for which Keep returns true.
type Filter[K, V any] struct {
	Keep func(*graph.Record[K, V]) (bool, error)
}

// New makes the node's instance for one task.
func (c Filter[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, V](children)
	return &filter[K, V]{Filter: c, base: base{t, n}, next: next}, err
}

type filter[K, V any] struct {
	Filter[K, V]
	base
	next graph.Receiver[K, V]
}

func (f *filter[K, V]) Receive(r *graph.Record[K, V]) error {
	ok, err := f.call(r)
	if err != nil {
		if ok, err = f.callFailed(r, err); err != nil {
			return err
		}
	}
	if !ok {
		return nil
	}
	return f.next.Receive(r)
}

func (f *filter[K, V]) call(r *graph.Record[K, V]) (ok bool, err error) {
	defer graph.Guard(&err)
	return f.Keep(r)
}

func (f *filter[K, V]) callFailed(r *graph.Record[K, V], err error) (keep bool, failure error) {
	ok, failure := f.failed(err, func() (err error) { keep, err = f.call(r); return err })
	return ok && keep, failure
}

// KeyFilter drops the records without a key.
type KeyFilter[K, V any] struct{}

// New makes the node's instance for one task.
func (KeyFilter[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, V](children)
	return &keyFilter[K, V]{base: base{t, n}, next: next}, err
}

type keyFilter[K, V any] struct {
	base
	next graph.Receiver[K, V]
}

func (f *keyFilter[K, V]) Receive(r *graph.Record[K, V]) error {
	if r.NoKey {
		f.drop(nullKey)
		return nil
	}
	return f.next.Receive(r)
}
