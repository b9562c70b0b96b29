package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// FlatMap turns each record into any number of records and passes them on in order. Their
// timestamps and headers are those of the records that f returns. A zero Timestamp stands
// for the timestamp of the record that f was given. The slice is read before f is called
// again.
func FlatMap[K, V, K2, V2 any](s Stream[K, V], f func(processor.Record[K, V]) []processor.Record[K2, V2], ks serde.Serde[K2], vs serde.Serde[V2], opts ...Option) Stream[K2, V2] {
	return flatMap(s, f, func(r processor.Record[K, V]) ([]processor.Record[K2, V2], error) { return f(r), nil }, ks, vs, opts)
}

// TryFlatMap is FlatMap with a function that may fail. After an error nothing is passed
// on.
func TryFlatMap[K, V, K2, V2 any](s Stream[K, V], f func(processor.Record[K, V]) ([]processor.Record[K2, V2], error), ks serde.Serde[K2], vs serde.Serde[V2], opts ...Option) Stream[K2, V2] {
	return flatMap(s, f, f, ks, vs, opts)
}

func flatMap[K, V, K2, V2 any](s Stream[K, V], given any, f func(processor.Record[K, V]) ([]processor.Record[K2, V2], error), ks serde.Serde[K2], vs serde.Serde[V2], opts []Option) Stream[K2, V2] {
	o := operator.FlatMap[K, V, K2, V2]{Convert: f, Keys: ks, Values: vs}
	n := s.b.addFunc(&node{op: "flatMap", make: o.New}, opts, s.n, given)
	return Stream[K2, V2]{flow[K2, V2]{b: s.b, n: n, keys: ks, values: vs, rekeyed: true}}
}

// FlatMapValues turns each value into any number of values and passes them on in order,
// with the record's key, timestamp and headers. An absent value stays absent, and f is
// not called for it, unless the stream's value serde is Optional.
func FlatMapValues[K, V, V2 any](s Stream[K, V], f func(V) []V2, vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return flatMapValues(s, f, func(r *graph.Record[K, V]) ([]V2, error) { return f(r.Value), nil }, vs, opts)
}

// TryFlatMapValues is FlatMapValues with a function that may fail. After an error nothing
// is passed on.
func TryFlatMapValues[K, V, V2 any](s Stream[K, V], f func(V) ([]V2, error), vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return flatMapValues(s, f, func(r *graph.Record[K, V]) ([]V2, error) { return f(r.Value) }, vs, opts)
}

// FlatMapValuesRecord is FlatMapValues with a function that sees the whole record and may
// fail. f must not change what the key points to.
func FlatMapValuesRecord[K, V, V2 any](s Stream[K, V], f func(processor.Record[K, V]) ([]V2, error), vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return flatMapValues(s, f, func(r *graph.Record[K, V]) ([]V2, error) { return f(r.Record) }, vs, opts)
}

func flatMapValues[K, V, V2 any](s Stream[K, V], given any, f func(*graph.Record[K, V]) ([]V2, error), vs serde.Serde[V2], opts []Option) Stream[K, V2] {
	o := operator.FlatMapValues[K, V, V2]{Convert: f, In: s.values, Out: vs}
	n := s.b.addFunc(&node{op: "flatMapValues", make: o.New}, opts, s.n, given)
	return Stream[K, V2]{flow[K, V2]{b: s.b, n: n, keys: s.keys, values: vs, rekeyed: s.rekeyed}}
}
