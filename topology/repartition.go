package topology

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/serde"
)

// Repartition sends the stream through a topic of the application,
// <app>-<name>-repartition, and reads it from there. Records with equal keys then meet in
// one task. They keep their timestamps and headers. Records without a key are dropped,
// and counted as dropped.
func Repartition[K, V any](s Stream[K, V], name string, opts ...RepartitionOption) Stream[K, V] {
	var o repartitionOptions
	for _, opt := range withoutNil(opts) {
		opt.applyRepartition(&o)
	}
	s.b.claim("repartition", name, "the repartition topic")
	return Stream[K, V]{repartition(s.flow, "repartition", name, o)}
}

// repartition sends the records through a topic, and reads them again.
func repartition[K, V any](s flow[K, V], op, name string, o repartitionOptions) flow[K, V] {
	r := s.b.addRepartition(op, name, s.n, serdes{s.keys, s.values}, o)
	switch {
	case r.filter == nil:
	case o.withoutKey:
		r.filter.make = operator.PassThrough[K, V]{}.New
	default:
		r.filter.make = operator.KeyFilter[K, V]{}.New
	}
	sink := newSink(s, r.sink, nil, o.partitioner)
	sink.Internal = true
	r.sink.make = sink.New
	if o.partitioner == nil {
		r.source.combine = func(by any) (*node, maker) { return r.sink, by.(operator.Combinable[K, V]).Sink(sink) }
	}
	// The keys in the topic were encoded by the sink, so the source may keep their bytes.
	r.source.make = operator.Repartitioned[K, V]{Source: operator.Source[K, V]{Keys: s.keys, Values: s.values, KeepKey: true}}.New
	s.n, s.rekeyed = r.source, false
	return s
}

// repartitioning is the nodes of a repartitioning. filter is nil if every record has a
// key.
type repartitioning struct{ filter, sink, source *node }

// addRepartition adds the nodes of a repartitioning. The names of the nodes
// and of the topic are those of Kafka Streams.
func (b *Builder) addRepartition(op, name string, parent *node, s serdes, o repartitionOptions) (r repartitioning) {
	topic := graph.Topic{Name: name + graph.RepartitionSuffix, Internal: true}
	add := b.addPart
	if checkTopicName(name) != nil || slices.ContainsFunc(b.repartitions, func(r *graph.RepartitionTopic) bool { return r.Topic == topic }) {
		add = b.addUnchecked
	}
	if !o.allWithKey {
		r.filter = add(&node{kind: graph.Processor, op: op}, topic.Name+"-filter", name, parent)
		parent = r.filter
	}
	b.needSerdes(&node{op: op, name: name}, s, "to send them through topic <app>-"+topic.Name)
	r.sink = add(&node{kind: graph.Sink, op: op, sinkTopic: topic}, topic.Name+"-sink", name, parent)
	r.source = add(&node{kind: graph.Source, op: op, topics: []graph.Topic{topic}}, topic.Name+"-source", name)
	if o.fixed && o.partitions < 1 {
		b.problem("%s %q: Partitions is %d: use at least 1", op, name, o.partitions)
	}
	b.repartitions = append(b.repartitions, &graph.RepartitionTopic{Topic: topic, Partitions: o.partitions, Key: serde.FormatName(s.keys), Value: serde.FormatName(s.values)})
	return r
}
