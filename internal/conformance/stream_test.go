package conformance

import (
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// stream is a KStream of a case. Its values have the type any. Its keys have the type any
// too, except after a windowed aggregation, whose results have keys of type
// serde.Windowed[any]. Converting these keys to any would need a Map. After a Map
// Millrace repartitions, and Kafka Streams would not.
type stream interface {
	joinGlobal(t topology.Global[any, any], left bool, key mapper, join func(k, v, row any) (any, error), values *dynamic, opts []topology.Option) stream
	filter(p predicate, opts []topology.Option) stream
	mapValues(f mapper, withKey bool, values *dynamic, opts []topology.Option) stream
	flatMapValues(f flat, withKey bool, values *dynamic, opts []topology.Option) stream
	flatMap(f pairs, keys, values *dynamic, opts []topology.Option) stream
	selectKey(f mapper, keys *dynamic, opts []topology.Option) stream
	peek(opts []topology.Option) stream
	forEach(opts []topology.Option)
	merge(other stream) (stream, error)
	branch(name string, cases []branchCase) []stream
	repartition(name string, opts []topology.RepartitionOption) stream
	process(name string, p *script, keys, values *dynamic) stream
	processValues(name string, p *script, values *dynamic) stream
	to(topic string, opts []topology.SinkOption)
	toTopic(f mapper, opts []topology.SinkOption)
	toTable(name string) table
	join(t table, left bool, f joiner, values *dynamic, opts []topology.JoinOption) (stream, error)
	joinWindow(other stream, j streamsJoin) (stream, []storeReader, error)
	groupByKey(name string) grouped
	groupBy(name string, f mapper, keys *dynamic) grouped

	// countNullKeys adds the number of records without a key that pass to n.
	countNullKeys(n *int64) stream

	// isRekeyed reports whether grouping by key repartitions.
	isRekeyed() bool

	keySerde() *dynamic
	valueSerde() *dynamic
}

type branchCase struct {
	name string
	when predicate // nil: the default
}

// streamOf implements stream.
type streamOf[K any] struct {
	s       topology.Stream[K, any]
	keys    *dynamic
	values  *dynamic
	rekeyed bool // the key may have changed since the source
}

// keyOf returns the key of a record, or nil if there is none.
func keyOf[K any](r processor.Record[K, any]) any {
	if r.NoKey {
		return nil
	}
	return r.Key
}

// must passes an error to Millrace as a panic, if a function of the API returns no error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (s streamOf[K]) isRekeyed() bool      { return s.rekeyed }
func (s streamOf[K]) keySerde() *dynamic   { return s.keys }
func (s streamOf[K]) valueSerde() *dynamic { return s.values }

func (s streamOf[K]) with(t topology.Stream[K, any]) stream {
	s.s = t
	return s
}

func (s streamOf[K]) filter(p predicate, opts []topology.Option) stream {
	return s.with(s.s.FilterRecord(func(r processor.Record[K, any]) (bool, error) { return p(keyOf(r), r.Value) }, opts...))
}

// mapValues uses MapValuesRecord if the function reads the key.
func (s streamOf[K]) mapValues(f mapper, withKey bool, values *dynamic, opts []topology.Option) stream {
	if withKey {
		return streamOf[K]{topology.MapValuesRecord(s.s, func(r processor.Record[K, any]) (any, error) { return f(keyOf(r), r.Value) },
			serde.Serde[any](values), opts...), s.keys, values, s.rekeyed}
	}
	return streamOf[K]{topology.TryMapValues(s.s, func(v any) (any, error) { return f(nil, v) }, serde.Serde[any](values), opts...), s.keys, values, s.rekeyed}
}

func (s streamOf[K]) flatMapValues(f flat, withKey bool, values *dynamic, opts []topology.Option) stream {
	if withKey {
		return streamOf[K]{topology.FlatMapValuesRecord(s.s, func(r processor.Record[K, any]) ([]any, error) { return f(keyOf(r), r.Value) },
			serde.Serde[any](values), opts...), s.keys, values, s.rekeyed}
	}
	return streamOf[K]{topology.TryFlatMapValues(s.s, func(v any) ([]any, error) { return f(nil, v) }, serde.Serde[any](values), opts...), s.keys, values, s.rekeyed}
}

// flatMap implements map too, with a function that returns one pair.
func (s streamOf[K]) flatMap(f pairs, keys, values *dynamic, opts []topology.Option) stream {
	return streamOf[any]{topology.TryFlatMap(s.s, func(r processor.Record[K, any]) (out []processor.Record[any, any], err error) {
		list, err := f(keyOf(r), r.Value)
		for _, p := range list {
			out = append(out, recordOf(p.k, p.v, r.Timestamp, r.Headers))
		}
		return out, err
	}, serde.Serde[any](keys), serde.Serde[any](values), opts...), keys, values, true}
}

// recordOf returns a record in which nil stands for absence. Millrace's own serdes
// convert nil to NoKey and NoValue.
func recordOf(k, v any, at processor.Timestamp, headers processor.Headers) processor.Record[any, any] {
	return processor.Record[any, any]{Key: k, Value: v, NoKey: k == nil, NoValue: v == nil, Timestamp: at, Headers: headers}
}

func (s streamOf[K]) selectKey(f mapper, keys *dynamic, opts []topology.Option) stream {
	return streamOf[any]{topology.TrySelectKey(s.s, func(r processor.Record[K, any]) (any, error) { return f(keyOf(r), r.Value) }, serde.Serde[any](keys), opts...), keys, s.values, true}
}

func (s streamOf[K]) peek(opts []topology.Option) stream {
	return s.with(s.s.Peek(func(any) {}, opts...))
}

func (s streamOf[K]) countNullKeys(n *int64) stream {
	return s.with(s.s.PeekRecord(func(r processor.Record[K, any]) error {
		if r.NoKey {
			*n++
		}
		return nil
	}, own()))
}

func (s streamOf[K]) forEach(opts []topology.Option) {
	s.s.ForEach(func(processor.Record[K, any]) error { return nil }, opts...)
}

func (s streamOf[K]) merge(other stream) (stream, error) {
	o, ok := other.(streamOf[K])
	if !ok {
		return nil, notYet("merge of plain and windowed keys")
	}
	s.rekeyed = s.rekeyed || o.rekeyed
	return s.with(s.s.Merge(o.s)), nil
}

func (s streamOf[K]) branch(name string, cases []branchCase) []stream {
	var ways []topology.BranchCase[processor.Record[K, any]]
	for _, c := range cases {
		if c.when == nil {
			ways = append(ways, topology.Default[processor.Record[K, any]](c.name))
			continue
		}
		ways = append(ways, topology.Case(c.name, func(r processor.Record[K, any]) bool { return must(c.when(keyOf(r), r.Value)) }))
	}
	var out []stream
	for _, t := range s.s.BranchRecord(name, ways...) {
		out = append(out, s.with(t))
	}
	return out
}

func (s streamOf[K]) repartition(name string, opts []topology.RepartitionOption) stream {
	s.rekeyed = false
	return s.with(topology.Repartition(s.s, name, opts...))
}

func (s streamOf[K]) process(name string, p *script, keys, values *dynamic) stream {
	out := topology.Process(s.s, name, func() *scripted[K] { return newScripted[K](p) }, serde.Serde[any](keys), serde.Serde[any](values), p.attached...)
	return streamOf[any]{out, keys, values, true}
}

func (s streamOf[K]) processValues(name string, p *script, values *dynamic) stream {
	out := topology.ProcessValues(s.s, name, func() *fixedScript[K] { return newFixedScript[K](p) }, serde.Serde[any](values), p.attached...)
	return streamOf[K]{out, s.keys, values, s.rekeyed}
}

func (s streamOf[K]) to(topic string, opts []topology.SinkOption) { s.s.To(topic, opts...) }

func (s streamOf[K]) toTopic(f mapper, opts []topology.SinkOption) {
	s.s.ToTopic(func(r processor.Record[K, any]) string { return javaText(must(f(keyOf(r), r.Value))) }, opts...)
}

func (s streamOf[K]) groupByKey(name string) grouped {
	return groupedOf[K]{topology.GroupByKey(s.s, name), s.keys, s.values}
}

func (s streamOf[K]) toTable(name string) table {
	return tableOf[K, any]{s.s.ToTable(name, topology.WithoutStore()), s.keys, s.values}
}

func (s streamOf[K]) groupBy(name string, f mapper, keys *dynamic) grouped {
	g := topology.GroupByRecord(s.s, name, func(r processor.Record[K, any]) (any, error) { return f(keyOf(r), r.Value) }, serde.Serde[any](keys))
	return groupedOf[any]{g, keys, s.values}
}
