package topology

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
)

// Repartition sends the stream through a topic of the application,
// <app>-<name>-repartition, and reads it from there. Records with equal keys then meet in
// one task. Records without a key are dropped, and counted as dropped.
func Repartition[K, V any](s Stream[K, V], name string, opts ...RepartitionOption) Stream[K, V] {
	var o repartitionOptions
	for _, opt := range withoutNil(opts) {
		opt.applyRepartition(&o)
	}
	s.b.claim("repartition", name, "the repartition topic")
	return s.repartition("repartition", name, o)
}

// repartition adds the three nodes of a repartitioning. The names of the nodes and of the
// topic are those of Kafka Streams.
func (s Stream[K, V]) repartition(op, name string, o repartitionOptions) Stream[K, V] {
	topic := graph.Topic{Name: name + graph.RepartitionSuffix, Internal: true}
	add := s.b.addPart
	if checkTopicName(name) != nil || slices.ContainsFunc(s.b.repartitions, func(r *graph.RepartitionTopic) bool { return r.Topic == topic }) {
		add = s.b.addUnchecked
	}
	filter := add(&node{kind: graph.Processor, op: op, make: operator.KeyFilter[K, V]{}.New}, topic.Name+"-filter", name, s.n)
	s.needSerdes(&node{op: op, name: name}, "to send them through topic <app>-"+topic.Name)

	sink := &node{kind: graph.Sink, op: op, sinkTopic: topic}
	sink.make = s.newSink(sink, nil, o.partitioner)
	add(sink, topic.Name+"-sink", name, filter)

	// The keys in the topic were encoded by the sink, so the source may keep their bytes.
	read := operator.Source[K, V]{Keys: s.keys, Values: s.values, KeepKey: true}
	source := &node{kind: graph.Source, op: op, topics: []graph.Topic{topic}, make: read.New}
	s.n = add(source, topic.Name+"-source", name)

	if o.fixed && o.partitions < 1 {
		s.b.problem("%s %q: Partitions is %d: use at least 1", op, name, o.partitions)
	}
	s.b.repartitions = append(s.b.repartitions, &graph.RepartitionTopic{Topic: topic, Partitions: o.partitions})
	s.rekeyed = false
	return s
}
