package topology

import (
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// To sends all records to a topic, which must exist. Absent keys and values are sent as such.
//
// Kafka's default partitioner chooses the partition from the key; a windowed key goes where the key in it would go, and a record without a
// key to any partition. See [Partitioner].
func (s Stream[K, V]) To(topic string, opts ...SinkOption) {
	n := s.sink(topic, nil, opts)
	if err := checkTopicName(topic); err != nil {
		s.b.problem("%v: bad topic name %q: %v", n, topic, err)
	}
}

// ToTopic sends each record to the topic that choose returns, which must exist.
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

type partitioner[K, V any] = func(processor.Record[K, V], int32) []int32

// newSink returns what makes the instance of a sink, and reports a partitioner of other types than the stream's.
func (s Stream[K, V]) newSink(n *node, choose func(processor.Record[K, V]) string, given any) func(graph.Task, *graph.Node, []any) (any, error) {
	partition, ok := given.(partitioner[K, V])
	if given != nil && !ok {
		s.b.problem("%v: the function of Partitioner is a %T, the stream needs a %T", n, given, partition)
	}
	if ok && partition == nil {
		s.b.problem("%v: the function of Partitioner is nil", n)
	}
	return func(t graph.Task, n *graph.Node, _ []any) (any, error) {
		k := &sinkInstance[K, V]{instance: instance{t, n}, choose: choose, partition: partition, keys: s.keys, values: s.values, count: -1}
		k.inner, _ = s.keys.(serde.Partitioned[K])
		k.out.Node = n
		if choose == nil {
			k.out.Topic = n.SinkTopic.In(t.ApplicationID())
			t.OnFlush(n, k.forgetCount)
		}
		return k, nil
	}
}

type sinkInstance[K, V any] struct {
	instance
	choose    func(processor.Record[K, V]) string
	partition partitioner[K, V]
	keys      serde.Serde[K]
	values    serde.Serde[V]
	inner     serde.Partitioned[K] // nil: partitioned by the whole key

	count int32 // partitions of the topic, if there is one; -1: not asked yet
	bytes arena
	hash  []byte // scratch for inner

	// out is the record to send, to the partitions in to or, if that is nil, to out.Partition.
	out graph.Output
	to  []int32
}

func (s *sinkInstance[K, V]) Receive(r *graph.Record[K, V]) error {
	if err := s.prepare(r); err != nil {
		if ok, failure := s.prepareFailed(r, err); !ok {
			return failure
		}
	}
	if s.to == nil {
		return s.task.Send(s.out)
	}
	return s.multicast()
}

func (s *sinkInstance[K, V]) multicast() error {
	if len(s.to) == 0 {
		s.drop(noPartitionChosen)
	}
	for _, p := range s.to {
		s.out.Partition = p
		if err := s.task.Send(s.out); err != nil {
			return err
		}
	}
	return nil
}

func (s *sinkInstance[K, V]) prepareFailed(r *graph.Record[K, V], err error) (ok bool, failure error) {
	return s.task.Fail(s.node, processor.Produce, err, func() error { return s.prepare(r) })
}

// prepare sets out and to.
func (s *sinkInstance[K, V]) prepare(r *graph.Record[K, V]) (err error) {
	defer graph.Guard(&err)
	if r.Timestamp < 0 {
		return fmt.Errorf("the timestamp %d is negative", int64(r.Timestamp))
	}
	s.out.Timestamp, s.out.Headers = r.Timestamp, r.Headers
	count, err := s.address(r)
	if err != nil {
		return err
	}
	if err := s.encode(r); err != nil {
		return err
	}
	return s.choosePartition(r, count)
}

// address sets the topic, and returns the number of its partitions.
func (s *sinkInstance[K, V]) address(r *graph.Record[K, V]) (int32, error) {
	if s.choose != nil {
		if s.out.Topic = s.choose(r.Record); s.out.Topic == "" {
			return 0, errors.New("the function of ToTopic returned no topic")
		}
		return s.partitions()
	}
	if s.count < 0 {
		count, err := s.partitions()
		if err != nil {
			return 0, err
		}
		s.count = count
	}
	return s.count, nil
}

// forgetCount has the number of partitions asked for again in the next transaction: the topic may grow. Within one it stays as it is.
func (s *sinkInstance[K, V]) forgetCount() error {
	s.count = -1
	return nil
}

func (s *sinkInstance[K, V]) partitions() (int32, error) {
	count, err := s.task.Partitions(s.out.Topic)
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", s.out.Topic, err)
	}
	return count, nil
}

func (s *sinkInstance[K, V]) encode(r *graph.Record[K, V]) (err error) {
	s.out.Key, s.out.Value = nil, nil
	switch {
	case r.NoKey:
	case r.KeyBytes != nil:
		s.out.Key = s.bytes.copy(r.KeyBytes)
	default:
		if s.out.Key, err = encodeTo(&s.bytes, s.keys, r.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
	}
	if r.NoValue {
		return nil
	}
	if s.out.Value, err = encodeTo(&s.bytes, s.values, r.Value); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	return nil
}

func (s *sinkInstance[K, V]) choosePartition(r *graph.Record[K, V], count int32) error {
	if s.to = nil; s.partition != nil {
		s.to = s.partition(r.Record, count)
	}
	for _, p := range s.to {
		if p < 0 || p >= count {
			return fmt.Errorf("the partitioner chose partition %d of topic %s, which has %d", p, s.out.Topic, count)
		}
	}
	if s.to == nil {
		return s.defaultPartition(r, count)
	}
	return nil
}

func (s *sinkInstance[K, V]) defaultPartition(r *graph.Record[K, V], count int32) (err error) {
	hashed := s.out.Key
	switch {
	case r.NoKey:
		s.out.Partition = -1
		return nil
	case s.inner != nil:
		if s.hash, err = s.inner.AppendPartitionKey(s.hash[:0], r.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
		hashed = s.hash
	}
	s.out.Partition = serde.Partition(hashed, count)
	return nil
}
