package topology

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Map turns each record into another one, which may have another key. Timestamp and
// headers are those of the record that f returns; use processor.WithKey and
// processor.WithValue to keep them. If f returns the zero Timestamp, the record keeps its
// timestamp. The serdes may be nil where nothing is stored or sent.
func Map[K, V, K2, V2 any](s Stream[K, V], f func(processor.Record[K, V]) processor.Record[K2, V2], ks serde.Serde[K2], vs serde.Serde[V2], opts ...Option) Stream[K2, V2] {
	return mapRecords(s, f, func(r processor.Record[K, V]) (processor.Record[K2, V2], error) { return f(r), nil }, ks, vs, opts)
}

// TryMap is Map with a function that may fail.
func TryMap[K, V, K2, V2 any](s Stream[K, V], f func(processor.Record[K, V]) (processor.Record[K2, V2], error), ks serde.Serde[K2], vs serde.Serde[V2], opts ...Option) Stream[K2, V2] {
	return mapRecords(s, f, f, ks, vs, opts)
}

// MapValues turns each value into another one. An absent value stays absent, and f is not called for it, unless the stream's value serde
// is Optional (see serde.Nullable).
func MapValues[K, V, V2 any](s Stream[K, V], f func(V) V2, vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return mapValues(s, f, func(r *graph.Record[K, V]) (V2, error) { return f(r.Value), nil }, vs, opts)
}

// TryMapValues is MapValues with a function that may fail.
func TryMapValues[K, V, V2 any](s Stream[K, V], f func(V) (V2, error), vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return mapValues(s, f, func(r *graph.Record[K, V]) (V2, error) { return f(r.Value) }, vs, opts)
}

// MapValuesRecord turns each record into another value, which goes on with the record's key, timestamp and headers; so what groups by key later need
// not send the records through a topic first, as it must after [Map]. f must not change what the key points to. Otherwise it is like [MapValues]: an absent value stays absent, and f is not called for it,
// unless the stream's value serde is Optional.
func MapValuesRecord[K, V, V2 any](s Stream[K, V], f func(processor.Record[K, V]) V2, vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return mapValues(s, f, func(r *graph.Record[K, V]) (V2, error) { return f(r.Record), nil }, vs, opts)
}

// TryMapValuesRecord is MapValuesRecord with a function that may fail.
func TryMapValuesRecord[K, V, V2 any](s Stream[K, V], f func(processor.Record[K, V]) (V2, error), vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return mapValues(s, f, func(r *graph.Record[K, V]) (V2, error) { return f(r.Record) }, vs, opts)
}

// SelectKey gives each record another key. With an Optional key serde f may return the absent key.
func SelectKey[K, V, K2 any](s Stream[K, V], f func(processor.Record[K, V]) K2, ks serde.Serde[K2], opts ...Option) Stream[K2, V] {
	return selectKey(s, "selectKey", nameOf(opts), f, func(r *graph.Record[K, V]) (K2, error) { return f(r.Record), nil }, ks)
}

// TrySelectKey is SelectKey with a function that may fail.
func TrySelectKey[K, V, K2 any](s Stream[K, V], f func(processor.Record[K, V]) (K2, error), ks serde.Serde[K2], opts ...Option) Stream[K2, V] {
	return selectKey(s, "selectKey", nameOf(opts), f, func(r *graph.Record[K, V]) (K2, error) { return f(r.Record) }, ks)
}

func mapRecords[K, V, K2, V2 any](s Stream[K, V], given any, f func(processor.Record[K, V]) (processor.Record[K2, V2], error), ks serde.Serde[K2], vs serde.Serde[V2], opts []Option) Stream[K2, V2] {
	convert := func(out *processor.Record[K2, V2], in *graph.Record[K, V]) (err error) {
		if *out, err = f(in.Record); err != nil {
			return err
		}
		out.Timestamp = timestampOr(out.Timestamp, in.Timestamp)
		return checkTimestamp(out.Timestamp)
	}
	n := addMap(s, "map", nameOf(opts), given, convert, ks, vs)
	return Stream[K2, V2]{b: s.b, n: n, keys: ks, values: vs, rekeyed: true}
}

// timestampOr returns the timestamp of a record that user code made: at or, if it set
// none, that of the call.
func timestampOr(at, call processor.Timestamp) processor.Timestamp {
	if at == 0 {
		return call
	}
	return at
}

// checkTimestamp refuses a timestamp, made by a function of the user's, that no record can have.
func checkTimestamp(at processor.Timestamp) error {
	if at < 0 {
		return fmt.Errorf("the timestamp %d of the record that the function returned is negative", int64(at))
	}
	return nil
}

func selectKey[K, V, K2 any](s Stream[K, V], op, name string, given any, f func(*graph.Record[K, V]) (K2, error), ks serde.Serde[K2]) Stream[K2, V] {
	convert := func(out *processor.Record[K2, V], in *graph.Record[K, V]) error {
		key, err := f(in)
		*out = processor.WithKey(in.Record, key)
		return err
	}
	n := addMap(s, op, name, given, convert, ks, s.values)
	return Stream[K2, V]{b: s.b, n: n, keys: ks, values: s.values, rekeyed: true}
}

// addMap adds a node that turns each record into one with another key.
func addMap[K, V, K2, V2 any](s Stream[K, V], op, name string, given any, convert func(*processor.Record[K2, V2], *graph.Record[K, V]) error, ks serde.Serde[K2], vs serde.Serde[V2]) *node {
	n := s.b.add(&node{kind: graph.Processor, op: op, make: func(t graph.Task, n *graph.Node, children []any) (any, error) {
		next, err := receiverOf[K2, V2](children)
		return &mapInstance[K, V, K2, V2]{
			instance: instance{t, n}, convert: convert, keys: absenceOf(ks), values: absenceOf(vs), next: next,
		}, err
	}}, name, s.n)
	s.b.needFunc(n, given)
	return n
}

type mapInstance[K, V, K2, V2 any] struct {
	instance
	convert func(*processor.Record[K2, V2], *graph.Record[K, V]) error
	keys    absence[K2]
	values  absence[V2]
	out     graph.Record[K2, V2]
	next    graph.Receiver[K2, V2]
}

func (m *mapInstance[K, V, K2, V2]) Receive(r *graph.Record[K, V]) error {
	if err := m.call(r); err != nil {
		if ok, failure := m.failed(err, func() error { return m.call(r) }); !ok {
			return failure
		}
	}
	normalize(&m.out.Record, m.keys, m.values)
	return m.next.Receive(&m.out)
}

func (m *mapInstance[K, V, K2, V2]) call(r *graph.Record[K, V]) (err error) {
	defer graph.Guard(&err)
	return m.convert(&m.out.Record, r)
}

func mapValues[K, V, V2 any](s Stream[K, V], given any, f func(*graph.Record[K, V]) (V2, error), vs serde.Serde[V2], opts []Option) Stream[K, V2] {
	in := absenceOf(s.values)
	n := s.b.add(&node{kind: graph.Processor, op: "mapValues", make: func(t graph.Task, n *graph.Node, children []any) (any, error) {
		next, err := receiverOf[K, V2](children)
		return &mapValuesInstance[K, V, V2]{
			instance: instance{t, n}, f: f, absentToo: in.expressible(), values: absenceOf(vs), next: next,
		}, err
	}}, nameOf(opts), s.n)
	s.b.needFunc(n, given)
	return Stream[K, V2]{b: s.b, n: n, keys: s.keys, values: vs, rekeyed: s.rekeyed}
}

type mapValuesInstance[K, V, V2 any] struct {
	instance
	f         func(*graph.Record[K, V]) (V2, error)
	absentToo bool // call f with absent values
	values    absence[V2]
	out       graph.Record[K, V2]
	next      graph.Receiver[K, V2]
}

func (m *mapValuesInstance[K, V, V2]) Receive(r *graph.Record[K, V]) error {
	copyKey(&m.out, r)
	if r.NoValue && !m.absentToo {
		var none V2
		m.out.Value, m.out.NoValue = none, true
		return m.next.Receive(&m.out)
	}
	if err := m.call(r); err != nil {
		if ok, failure := m.failed(err, func() error { return m.call(r) }); !ok {
			return failure
		}
	}
	m.out.NoValue = m.values.is(m.out.Value)
	return m.next.Receive(&m.out)
}

func (m *mapValuesInstance[K, V, V2]) call(r *graph.Record[K, V]) (err error) {
	defer graph.Guard(&err)
	m.out.Value, err = m.f(r)
	return err
}

// copyKey copies all but the value.
func copyKey[K, V, V2 any](out *graph.Record[K, V2], r *graph.Record[K, V]) {
	out.Key, out.NoKey, out.KeyBytes = r.Key, r.NoKey, r.KeyBytes
	out.Timestamp, out.Headers = r.Timestamp, r.Headers
}
