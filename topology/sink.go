package topology

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/processor"
)

// To sends all records to a topic, which must exist. An absent key or value is sent as
// absent.
//
// Kafka's default partitioner chooses the partition by the key. A windowed key goes to
// the partition of the key in it. A record without a key goes to any partition. To choose
// differently, see [Partitioner].
func (s Stream[K, V]) To(topic string, opts ...SinkOption) {
	n := s.sink(topic, nil, opts)
	if err := checkTopicName(topic); err != nil {
		s.b.problem("%v: bad topic name %q: %v", n, topic, err)
	}
}

// ToTopic sends each record to the topic that choose returns. The topic must exist.
func (s Stream[K, V]) ToTopic(choose func(processor.Record[K, V]) string, opts ...SinkOption) {
	n := s.sink("", choose, opts)
	s.b.needFunc(n, choose)
}

func (s Stream[K, V]) sink(topic string, choose func(processor.Record[K, V]) string, opts []SinkOption) *node {
	var o sinkOptions
	for _, opt := range withoutNil(opts) {
		opt.applySink(&o)
	}
	n := &node{kind: graph.Sink, op: "sink", sinkTopic: graph.Topic{Name: topic}}
	s.b.add(n, o.name, s.n)
	if n.auto && topic != "" {
		s.b.names.release(n.name)
		n.name = s.b.names.derive(topic + "-sink")
	}
	n.make = s.newSink(n, choose, o.partitioner)
	s.needSerdes(n, "to write them")
	return n
}

func (s Stream[K, V]) needSerdes(n *node, why string) {
	s.b.needSerde(n, "key", s.keys, why)
	s.b.needSerde(n, "value", s.values, why)
}

// newSink returns the maker of a sink's instances. It reports a partitioner whose types
// differ from those of the stream.
func (s Stream[K, V]) newSink(n *node, choose func(processor.Record[K, V]) string, given any) maker {
	partition, ok := given.(operator.Partitioner[K, V])
	if given != nil && !ok {
		s.b.problem("%v: the function of Partitioner is a %T, but the stream needs a %T", n, given, partition)
	}
	if ok && partition == nil {
		s.b.problem("%v: the function of Partitioner is nil", n)
	}
	return operator.Sink[K, V]{Keys: s.keys, Values: s.values, Choose: choose, Partition: partition}.New
}
