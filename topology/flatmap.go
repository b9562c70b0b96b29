package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// FlatMap turns each record into any number of records, which are passed on in order.
// Timestamps and headers are those of the records that f returns; a zero Timestamp stands
// for that of the record f was given. The slice is read before f is called again.
func FlatMap[K, V, K2, V2 any](s Stream[K, V], f func(processor.Record[K, V]) []processor.Record[K2, V2], ks serde.Serde[K2], vs serde.Serde[V2], opts ...Option) Stream[K2, V2] {
	return flatMap(s, f, func(r processor.Record[K, V]) ([]processor.Record[K2, V2], error) { return f(r), nil }, ks, vs, opts)
}

// TryFlatMap is FlatMap with a function that may fail; then nothing is passed on.
func TryFlatMap[K, V, K2, V2 any](s Stream[K, V], f func(processor.Record[K, V]) ([]processor.Record[K2, V2], error), ks serde.Serde[K2], vs serde.Serde[V2], opts ...Option) Stream[K2, V2] {
	return flatMap(s, f, f, ks, vs, opts)
}

// FlatMapValues turns each value into any number of values, which are passed on in order with the record's key, timestamp and headers. An absent
// value stays absent, and f is not called for it, unless the stream's value serde is Optional.
func FlatMapValues[K, V, V2 any](s Stream[K, V], f func(V) []V2, vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return flatMapValues(s, f, func(r *graph.Record[K, V]) ([]V2, error) { return f(r.Value), nil }, vs, opts)
}

// TryFlatMapValues is FlatMapValues with a function that may fail; then nothing is passed on.
func TryFlatMapValues[K, V, V2 any](s Stream[K, V], f func(V) ([]V2, error), vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return flatMapValues(s, f, func(r *graph.Record[K, V]) ([]V2, error) { return f(r.Value) }, vs, opts)
}

// FlatMapValuesRecord turns each record into any number of values, which are passed on in order with the record's key, timestamp and headers: what
// [MapValuesRecord] is to [MapValues].
func FlatMapValuesRecord[K, V, V2 any](s Stream[K, V], f func(processor.Record[K, V]) []V2, vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return flatMapValues(s, f, func(r *graph.Record[K, V]) ([]V2, error) { return f(r.Record), nil }, vs, opts)
}

// TryFlatMapValuesRecord is FlatMapValuesRecord with a function that may fail; then nothing is passed on.
func TryFlatMapValuesRecord[K, V, V2 any](s Stream[K, V], f func(processor.Record[K, V]) ([]V2, error), vs serde.Serde[V2], opts ...Option) Stream[K, V2] {
	return flatMapValues(s, f, func(r *graph.Record[K, V]) ([]V2, error) { return f(r.Record) }, vs, opts)
}

func flatMap[K, V, K2, V2 any](s Stream[K, V], given any, f func(processor.Record[K, V]) ([]processor.Record[K2, V2], error), ks serde.Serde[K2], vs serde.Serde[V2], opts []Option) Stream[K2, V2] {
	n := s.b.add(&node{kind: graph.Processor, op: "flatMap", make: func(t graph.Task, n *graph.Node, children []any) (any, error) {
		next, err := receiverOf[K2, V2](children)
		return &flatMapInstance[K, V, K2, V2]{
			instance: instance{t, n}, f: f, keys: absenceOf(ks), values: absenceOf(vs), next: next,
		}, err
	}}, nameOf(opts), s.n)
	s.b.needFunc(n, given)
	return Stream[K2, V2]{b: s.b, n: n, keys: ks, values: vs, rekeyed: true}
}

type flatMapInstance[K, V, K2, V2 any] struct {
	instance
	f      func(processor.Record[K, V]) ([]processor.Record[K2, V2], error)
	keys   absence[K2]
	values absence[V2]
	out    graph.Record[K2, V2]
	next   graph.Receiver[K2, V2]
}

func (m *flatMapInstance[K, V, K2, V2]) Receive(r *graph.Record[K, V]) error {
	records, err := m.call(r)
	if err != nil {
		if records, err = m.callFailed(r, err); err != nil {
			return err
		}
	}
	for i := range records {
		m.out.Record = records[i]
		m.out.Timestamp = timestampOr(records[i].Timestamp, r.Timestamp)
		normalize(&m.out.Record, m.keys, m.values)
		if err := m.next.Receive(&m.out); err != nil {
			return err
		}
	}
	return nil
}

func (m *flatMapInstance[K, V, K2, V2]) call(r *graph.Record[K, V]) (records []processor.Record[K2, V2], err error) {
	defer graph.Guard(&err)
	if records, err = m.f(r.Record); err != nil {
		return nil, err
	}
	for i := range records {
		if err := checkTimestamp(records[i].Timestamp); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func (m *flatMapInstance[K, V, K2, V2]) callFailed(r *graph.Record[K, V], err error) (records []processor.Record[K2, V2], failure error) {
	ok, failure := m.failed(err, func() (err error) { records, err = m.call(r); return err })
	if !ok {
		records = nil
	}
	return records, failure
}

func flatMapValues[K, V, V2 any](s Stream[K, V], given any, f func(*graph.Record[K, V]) ([]V2, error), vs serde.Serde[V2], opts []Option) Stream[K, V2] {
	in := absenceOf(s.values)
	n := s.b.add(&node{kind: graph.Processor, op: "flatMapValues", make: func(t graph.Task, n *graph.Node, children []any) (any, error) {
		next, err := receiverOf[K, V2](children)
		return &flatMapValuesInstance[K, V, V2]{
			instance: instance{t, n}, f: f, absentToo: in.expressible(), values: absenceOf(vs), next: next,
		}, err
	}}, nameOf(opts), s.n)
	s.b.needFunc(n, given)
	return Stream[K, V2]{b: s.b, n: n, keys: s.keys, values: vs, rekeyed: s.rekeyed}
}

type flatMapValuesInstance[K, V, V2 any] struct {
	instance
	f         func(*graph.Record[K, V]) ([]V2, error)
	absentToo bool // call f with absent values
	values    absence[V2]
	out       graph.Record[K, V2]
	next      graph.Receiver[K, V2]
}

func (m *flatMapValuesInstance[K, V, V2]) Receive(r *graph.Record[K, V]) error {
	copyKey(&m.out, r)
	if r.NoValue && !m.absentToo {
		var none V2
		m.out.Value, m.out.NoValue = none, true
		return m.next.Receive(&m.out)
	}
	values, err := m.call(r)
	if err != nil {
		if values, err = m.callFailed(r, err); err != nil {
			return err
		}
	}
	for _, v := range values {
		m.out.Value, m.out.NoValue = v, m.values.is(v)
		if err := m.next.Receive(&m.out); err != nil {
			return err
		}
	}
	return nil
}

func (m *flatMapValuesInstance[K, V, V2]) call(r *graph.Record[K, V]) (values []V2, err error) {
	defer graph.Guard(&err)
	return m.f(r)
}

func (m *flatMapValuesInstance[K, V, V2]) callFailed(r *graph.Record[K, V], err error) (values []V2, failure error) {
	ok, failure := m.failed(err, func() (err error) { values, err = m.call(r); return err })
	if !ok {
		values = nil
	}
	return values, failure
}
