package topology

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
)

// Repartition sends the stream through a topic of the application, <app>-<name>-repartition, and reads it again, so that records with
// equal keys meet in one task. Records without a key are dropped, and counted as dropped.
func Repartition[K, V any](s Stream[K, V], name string, opts ...RepartitionOption) Stream[K, V] {
	var o repartitionOptions
	for _, opt := range withoutNil(opts) {
		opt.applyRepartition(&o)
	}
	s.b.claim("repartition", name, "the repartition topic")
	return s.repartition("repartition", name, o)
}

// repartition adds the three nodes of a repartitioning: they are named as in Kafka Streams, and so is the topic.
func (s Stream[K, V]) repartition(op, name string, o repartitionOptions) Stream[K, V] {
	topic := graph.Topic{Name: name + graph.RepartitionSuffix, Internal: true}
	add := s.b.addPart
	if checkTopicName(name) != nil || slices.ContainsFunc(s.b.repartitions, func(r *graph.RepartitionTopic) bool { return r.Topic == topic }) {
		add = s.b.addUnchecked
	}
	filter := add(&node{kind: graph.Processor, op: op, make: newKeyFilter[K, V]}, topic.Name+"-filter", name, s.n)
	s.needSerdes(&node{op: op, name: name}, "to send them through topic <app>-"+topic.Name)

	sink := &node{kind: graph.Sink, op: op, sinkTopic: topic}
	sink.make = s.newSink(sink, nil, o.partitioner)
	add(sink, topic.Name+"-sink", name, filter)

	// The keys in the topic were written by the sink, so their bytes may be kept.
	source := &node{kind: graph.Source, op: op, topics: []graph.Topic{topic}, make: newSource(s.keys, s.values, true, failOnInvalid, nil)}
	s.n = add(source, topic.Name+"-source", name)

	if o.fixed && o.partitions < 1 {
		s.b.problem("%s %q: %d partitions: a topic has at least one", op, name, o.partitions)
	}
	s.b.repartitions = append(s.b.repartitions, &graph.RepartitionTopic{Topic: topic, Partitions: o.partitions})
	s.rekeyed = false
	return s
}

// newKeyFilter instantiates the node that drops records without a key in front of a repartition topic.
func newKeyFilter[K, V any](t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, V](children)
	return &keyFilter[K, V]{instance: instance{t, n}, next: next}, err
}

type keyFilter[K, V any] struct {
	instance
	next graph.Receiver[K, V]
}

func (f *keyFilter[K, V]) Receive(r *graph.Record[K, V]) error {
	if r.NoKey {
		f.drop(nullKey)
		return nil
	}
	return f.next.Receive(r)
}
