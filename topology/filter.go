package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Filter passes on the records for whose value keep is true. keep sees the zero value where the value is absent.
func (s Stream[K, V]) Filter(keep func(V) bool, opts ...Option) Stream[K, V] {
	return s.filter("filter", keep, opts, func(r *graph.Record[K, V]) (bool, error) { return keep(r.Value), nil })
}

// TryFilter is Filter with a function that may fail.
func (s Stream[K, V]) TryFilter(keep func(V) (bool, error), opts ...Option) Stream[K, V] {
	return s.filter("filter", keep, opts, func(r *graph.Record[K, V]) (bool, error) { return keep(r.Value) })
}

// FilterNot passes on the records for whose value drop is false.
func (s Stream[K, V]) FilterNot(drop func(V) bool, opts ...Option) Stream[K, V] {
	return s.filter("filterNot", drop, opts, func(r *graph.Record[K, V]) (bool, error) { return !drop(r.Value), nil })
}

// FilterRecord passes on the records for which keep is true.
func (s Stream[K, V]) FilterRecord(keep func(processor.Record[K, V]) bool, opts ...Option) Stream[K, V] {
	return s.filter("filter", keep, opts, func(r *graph.Record[K, V]) (bool, error) { return keep(r.Record), nil })
}

// Peek calls f with each value and passes the record on unchanged. f sees the zero value where the value is absent, and must not change what the
// value points to.
func (s Stream[K, V]) Peek(f func(V), opts ...Option) Stream[K, V] {
	return s.filter("peek", f, opts, func(r *graph.Record[K, V]) (bool, error) { f(r.Value); return true, nil })
}

// PeekRecord calls f with each record and passes the record on unchanged.
func (s Stream[K, V]) PeekRecord(f func(processor.Record[K, V]), opts ...Option) Stream[K, V] {
	return s.filter("peek", f, opts, func(r *graph.Record[K, V]) (bool, error) { f(r.Record); return true, nil })
}

// ForEach calls f with each record; the stream ends here. f runs before the commit: after a crash it is called again with records whose
// effects were not committed.
func (s Stream[K, V]) ForEach(f func(processor.Record[K, V]) error, opts ...Option) {
	s.filter("forEach", f, opts, func(r *graph.Record[K, V]) (bool, error) { return false, f(r.Record) })
}

// filter adds a node that passes on the records for which keep is true, as they are.
func (s Stream[K, V]) filter(op string, f any, opts []Option, keep func(*graph.Record[K, V]) (bool, error)) Stream[K, V] {
	return s.pass(op, f, opts, func(t graph.Task, n *graph.Node, children []any) (any, error) {
		next, err := receiverOf[K, V](children)
		return &filterInstance[K, V]{instance: instance{t, n}, keep: keep, next: next}, err
	})
}

// pass adds a node that forwards records of the same types with the same keys.
func (s Stream[K, V]) pass(op string, f any, opts []Option, instantiate func(graph.Task, *graph.Node, []any) (any, error)) Stream[K, V] {
	n := s.b.add(&node{kind: graph.Processor, op: op, make: instantiate}, nameOf(opts), s.n)
	s.b.needFunc(n, f)
	s.n = n
	return s
}

type filterInstance[K, V any] struct {
	instance
	keep func(*graph.Record[K, V]) (bool, error)
	next graph.Receiver[K, V]
}

func (f *filterInstance[K, V]) Receive(r *graph.Record[K, V]) error {
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

func (f *filterInstance[K, V]) call(r *graph.Record[K, V]) (ok bool, err error) {
	defer graph.Guard(&err)
	return f.keep(r)
}

func (f *filterInstance[K, V]) callFailed(r *graph.Record[K, V], err error) (keep bool, failure error) {
	ok, failure := f.failed(err, func() (err error) { keep, err = f.call(r); return err })
	return ok && keep, failure
}
