package topology

import (
	"reflect"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
)

// To sends all records to a topic, which must exist. Each record is sent with its
// timestamp and its headers. An absent key or value is sent as absent.
//
// Kafka's default partitioner chooses the partition by the key. A windowed key goes to
// the partition of the key in it. A record without a key goes to any partition. To choose
// differently, see [Partitioner].
func (s Stream[K, V]) To(topic string, opts ...SinkOption) {
	n := addSink(s.flow, topic, nil, opts)
	if err := checkTopicName(topic); err != nil {
		s.b.problem("%v: bad topic name %q: %v", n, topic, err)
	}
}

// ToTopic sends each record to the topic that choose returns. If the topic does not
// exist, if Kafka refuses its name or its use, or if it has the name of an internal topic
// of the application, that is an error of the record, and goes to the error policy. The
// rest is as for To.
func (s Stream[K, V]) ToTopic(choose func(processor.Record[K, V]) string, opts ...SinkOption) {
	n := addSink(s.flow, "", choose, opts)
	s.b.needFunc(n, choose)
}

func addSink[K, V any](s flow[K, V], topic string, choose func(processor.Record[K, V]) string, opts []SinkOption) *node {
	var o sinkOptions
	for _, opt := range withoutNil(opts) {
		opt.applySink(&o)
	}
	n := s.b.addSink(topic, o.name, s.n)
	n.make = newSink(s, n, choose, o.partitioner).New
	s.b.needSerdes(n, serdes{s.keys, s.values}, "to write them")
	return n
}

// addSink adds a sink. Unless the user named it, it is called after its topic.
func (b *Builder) addSink(topic, name string, parent *node) *node {
	n := &node{kind: graph.Sink, op: "sink", sinkTopic: graph.Topic{Name: topic}}
	b.add(n, name, parent)
	if n.auto && topic != "" {
		b.names.release(n.name)
		n.name = b.names.derive(topic + "-sink")
	}
	return n
}

// newSink returns what a sink does. It reports a partitioner whose types
// differ from those of the stream.
func newSink[K, V any](s flow[K, V], n *node, choose func(processor.Record[K, V]) string, given any) operator.Sink[K, V] {
	partition, ok := given.(operator.Partitioner[K, V])
	if given != nil && (!ok || partition == nil) {
		s.b.badPartitioner(n, given, partition)
	}
	return operator.Sink[K, V]{Keys: s.keys, Values: s.values, Choose: choose, Partition: partition}
}

// badPartitioner reports a partitioner that is nil, or that is not of the type of want.
func (b *Builder) badPartitioner(n *node, given, want any) {
	if reflect.TypeOf(given) != reflect.TypeOf(want) {
		b.problem("%v: the function of Partitioner is a %T, but the stream needs a %T", n, given, want)
		return
	}
	b.problem("%v: the function of Partitioner is nil", n)
}
