package operator

import "github.com/millrace-streams/millrace/internal/graph"

// Branch passes each record to one of the node's children. Choose returns the child's
// index, or -1 for none.
type Branch[K, V any] struct {
	Choose func(*graph.Record[K, V]) int
}

// New makes the node's instance for one task.
func (c Branch[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	ways, err := receiversOf[K, V](children)
	return &branch[K, V]{Branch: c, base: base{t, n}, ways: ways}, err
}

type branch[K, V any] struct {
	Branch[K, V]
	base base
	ways []graph.Receiver[K, V]
}

func (b *branch[K, V]) Receive(r *graph.Record[K, V]) error {
	way, err := b.call(r)
	if err != nil {
		if way, err = b.callFailed(r, err); err != nil {
			return err
		}
	}
	if way < 0 {
		return nil
	}
	return b.ways[way].Receive(r)
}

func (b *branch[K, V]) call(r *graph.Record[K, V]) (way int, err error) {
	defer graph.Guard(&err)
	return b.Choose(r), nil
}

func (b *branch[K, V]) callFailed(r *graph.Record[K, V], err error) (way int, failure error) {
	ok, failure := b.base.failed(err, func() (err error) { way, err = b.call(r); return err })
	if !ok {
		return -1, failure
	}
	return way, failure
}
