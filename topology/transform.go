package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Map turns each record into another one, which may have another key. The result has the
// timestamp and the headers of the record that f returns. To keep the original ones, use
// processor.WithKey and processor.WithValue. If f returns the zero Timestamp, the record
// keeps its timestamp. A serde may be nil if no value of its type is stored or sent.
func Map[K, V, K2, V2 any](s Stream[K, V], f func(processor.Record[K, V]) processor.Record[K2, V2], ks serde.Serde[K2], vs serde.Serde[V2], opts ...Option) Stream[K2, V2] {
	return mapRecords(s, f, func(r processor.Record[K, V]) (processor.Record[K2, V2], error) { return f(r), nil }, ks, vs, opts)
}

// TryMap is Map with a function that may fail.
func TryMap[K, V, K2, V2 any](s Stream[K, V], f func(processor.Record[K, V]) (processor.Record[K2, V2], error), ks serde.Serde[K2], vs serde.Serde[V2], opts ...Option) Stream[K2, V2] {
	return mapRecords(s, f, f, ks, vs, opts)
}

func mapRecords[K, V, K2, V2 any](s Stream[K, V], given any, f func(processor.Record[K, V]) (processor.Record[K2, V2], error), ks serde.Serde[K2], vs serde.Serde[V2], opts []Option) Stream[K2, V2] {
	convert := func(out *processor.Record[K2, V2], in *graph.Record[K, V]) (err error) {
		*out, err = f(in.Record)
		return err
	}
	return rekey(s, "map", nameOf(opts), given, operator.Map[K, V, K2, V2]{Convert: convert, Keys: ks, Values: vs})
}

// SelectKey gives each record another key. If the key serde is Optional, f may return the
// absent key.
func SelectKey[K, V, K2 any](s Stream[K, V], f func(processor.Record[K, V]) K2, ks serde.Serde[K2], opts ...Option) Stream[K2, V] {
	return selectKey(s, "selectKey", nameOf(opts), f, func(r *graph.Record[K, V]) (K2, error) { return f(r.Record), nil }, ks)
}

// TrySelectKey is SelectKey with a function that may fail.
func TrySelectKey[K, V, K2 any](s Stream[K, V], f func(processor.Record[K, V]) (K2, error), ks serde.Serde[K2], opts ...Option) Stream[K2, V] {
	return selectKey(s, "selectKey", nameOf(opts), f, func(r *graph.Record[K, V]) (K2, error) { return f(r.Record) }, ks)
}

func selectKey[K, V, K2 any](s Stream[K, V], op, name string, given any, f func(*graph.Record[K, V]) (K2, error), ks serde.Serde[K2]) Stream[K2, V] {
	convert := func(out *processor.Record[K2, V], in *graph.Record[K, V]) error {
		key, err := f(in)
		*out = processor.WithKey(in.Record, key)
		return err
	}
	return rekey(s, op, name, given, operator.Map[K, V, K2, V]{Convert: convert, Keys: ks, Values: s.values})
}

// rekey adds a node that may change the key. given is the function that the user passed.
func rekey[K, V, K2, V2 any](s Stream[K, V], op, name string, given any, o operator.Map[K, V, K2, V2]) Stream[K2, V2] {
	n := s.b.add(&node{kind: graph.Processor, op: op, make: o.New}, name, s.n)
	s.b.needFunc(n, given)
	return Stream[K2, V2]{flow[K2, V2]{b: s.b, n: n, keys: o.Keys, values: o.Values, rekeyed: true}}
}

// MapValues turns each value into another one. An absent value stays absent, and f is not
// called for it, unless the stream's value serde is Optional (see serde.Nullable).
func MapValues[K, V, V2 any](s Stream[K, V], f func(V) V2, vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return mapValues(s, f, func(r *graph.Record[K, V]) (V2, error) { return f(r.Value), nil }, vs, opts)
}

// TryMapValues is MapValues with a function that may fail.
func TryMapValues[K, V, V2 any](s Stream[K, V], f func(V) (V2, error), vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return mapValues(s, f, func(r *graph.Record[K, V]) (V2, error) { return f(r.Value) }, vs, opts)
}

// MapValuesRecord is MapValues with a function that sees the whole record and may fail.
// The record keeps its key, timestamp and headers. Unlike after [Map], grouping by key
// therefore needs no repartitioning. f must not change what the key points to.
func MapValuesRecord[K, V, V2 any](s Stream[K, V], f func(processor.Record[K, V]) (V2, error), vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return mapValues(s, f, func(r *graph.Record[K, V]) (V2, error) { return f(r.Record) }, vs, opts)
}

func mapValues[K, V, V2 any](s Stream[K, V], given any, f func(*graph.Record[K, V]) (V2, error), vs serde.Serde[V2], opts []Option) Stream[K, V2] {
	o := operator.MapValues[K, V, V2]{Convert: f, In: s.values, Out: vs}
	n := s.b.addFunc(&node{op: "mapValues", make: o.New}, opts, s.n, given)
	return Stream[K, V2]{flow[K, V2]{b: s.b, n: n, keys: s.keys, values: vs, rekeyed: s.rekeyed}}
}
