package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
)

// Filter passes on the records for whose value keep is true. If the value is absent, keep
// sees the zero value.
func (s Stream[K, V]) Filter(keep func(V) bool, opts ...Option) Stream[K, V] {
	return filter(s, "filter", keep, opts, func(r *graph.Record[K, V]) (bool, error) { return keep(r.Value), nil })
}

// TryFilter is Filter with a function that may fail.
func (s Stream[K, V]) TryFilter(keep func(V) (bool, error), opts ...Option) Stream[K, V] {
	return filter(s, "filter", keep, opts, func(r *graph.Record[K, V]) (bool, error) { return keep(r.Value) })
}

// FilterNot passes on the records for whose value drop is false.
func (s Stream[K, V]) FilterNot(drop func(V) bool, opts ...Option) Stream[K, V] {
	return filter(s, "filterNot", drop, opts, func(r *graph.Record[K, V]) (bool, error) { return !drop(r.Value), nil })
}

// FilterRecord is Filter with a function that sees the whole record and may fail.
func (s Stream[K, V]) FilterRecord(keep func(processor.Record[K, V]) (bool, error), opts ...Option) Stream[K, V] {
	return filter(s, "filter", keep, opts, func(r *graph.Record[K, V]) (bool, error) { return keep(r.Record) })
}

// Peek calls f with each value and passes the record on unchanged. If the value is
// absent, f sees the zero value. f must not change what the value points to.
func (s Stream[K, V]) Peek(f func(V), opts ...Option) Stream[K, V] {
	return filter(s, "peek", f, opts, func(r *graph.Record[K, V]) (bool, error) { f(r.Value); return true, nil })
}

// PeekRecord is Peek with a function that sees the whole record and may fail. A record
// for which f fails is not passed on.
func (s Stream[K, V]) PeekRecord(f func(processor.Record[K, V]) error, opts ...Option) Stream[K, V] {
	return filter(s, "peek", f, opts, func(r *graph.Record[K, V]) (bool, error) { return true, f(r.Record) })
}

// ForEach calls f with each record. The stream ends here. f runs before the commit. After
// a crash, f is therefore called again with the records that were not committed.
func (s Stream[K, V]) ForEach(f func(processor.Record[K, V]) error, opts ...Option) {
	filter(s, "forEach", f, opts, func(r *graph.Record[K, V]) (bool, error) { return false, f(r.Record) })
}

// filter adds a node that passes on, unchanged, the records for which keep is true. given
// is the function that the user passed.
func filter[K, V any](s Stream[K, V], op string, given any, opts []Option, keep func(*graph.Record[K, V]) (bool, error)) Stream[K, V] {
	s.n = s.b.addFunc(&node{op: op, make: operator.Filter[K, V]{Keep: keep}.New}, opts, s.n, given)
	return s
}
