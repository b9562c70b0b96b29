package operator

import (
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Sink encodes records and sends them to a topic.
type Sink[K, V any] struct {
	Keys   serde.Serde[K]
	Values serde.Serde[V]

	// Choose returns the topic of a record. If it is nil, all records go to the node's
	// SinkTopic.
	Choose func(processor.Record[K, V]) string

	// Partition is nil for Kafka's default partitioner.
	Partition Partitioner[K, V]

	// Internal says that the topic is a repartition topic. Its source takes records with
	// a certain header for partials.
	Internal bool

	// Place chooses the one partition of a record, instead of Partition; nil: it does
	// not. -1 leaves the choice to Kafka's default partitioner.
	Place func(r *processor.Record[K, V], n int32) int32
}

// Partitioner chooses the partitions of a record. n is the number of partitions. A nil
// slice leaves the choice to Kafka's default partitioner. An empty slice drops the
// record.
type Partitioner[K, V any] = func(r processor.Record[K, V], n int32) []int32

// New makes the node's instance for one task.
func (c Sink[K, V]) New(t graph.Task, n *graph.Node, _ []any) (any, error) {
	s := &sink[K, V]{c: c, base: base{t, n}, count: -1}
	s.inner, _ = c.Keys.(serde.Partitioned[K])
	s.out.Node = n
	if c.Choose == nil {
		s.out.Topic = n.SinkTopic.In(t.ApplicationID())
		t.OnFlush(n, s.forgetCount)
	}
	return s, nil
}

type sink[K, V any] struct {
	c     Sink[K, V]
	base  base
	inner serde.Partitioned[K] // nil: partitioned by the whole key
	count int32                // partitions of the only topic; -1: not asked yet
	bytes arena
	hash  []byte // scratch for inner

	// out is the record to send. It goes to the partitions in to or, if to is nil, to
	// out.Partition.
	out graph.Output
	to  []int32
}

// Patient implements [graph.PatientNode]. A record that is sent at once is known to the
// task.
func (s *sink[K, V]) Patient() bool { return true }

func (s *sink[K, V]) Receive(r *graph.Record[K, V]) error {
	if err := s.prepare(r); err != nil {
		if ok, failure := s.prepareFailed(r, err); !ok {
			return failure
		}
	}
	if s.to == nil {
		return s.base.task.Send(s.out)
	}
	return s.multicast()
}

func (s *sink[K, V]) multicast() error {
	if len(s.to) == 0 {
		s.base.drop(noPartitionChosen)
	}
	for _, p := range s.to {
		s.out.Partition = p
		if err := s.base.task.Send(s.out); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink[K, V]) prepareFailed(r *graph.Record[K, V], err error) (ok bool, failure error) {
	return s.base.task.Fail(s.base.node, processor.Produce, err, func() error { return s.prepare(r) })
}

// prepare sets out and to.
func (s *sink[K, V]) prepare(r *graph.Record[K, V]) (err error) {
	defer graph.Guard(&err)
	if r.Timestamp < 0 {
		return fmt.Errorf("the timestamp %d of the record is negative", int64(r.Timestamp))
	}
	s.out.Timestamp, s.out.Headers = r.Timestamp, r.Headers
	if s.c.Internal {
		s.out.Headers = unmarked(r.Headers)
	}
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
func (s *sink[K, V]) address(r *graph.Record[K, V]) (int32, error) {
	if s.c.Choose != nil {
		switch s.out.Topic = s.c.Choose(r.Record); {
		case s.out.Topic == "":
			return 0, errors.New("the function of ToTopic returned no topic")
		case graph.NamesInternal(s.base.task.ApplicationID(), s.out.Topic):
			return 0, fmt.Errorf("the function of ToTopic returned %s, which is the name of an internal topic of the application: choose another topic", s.out.Topic)
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

// forgetCount makes the next transaction ask for the number of partitions again, because
// the topic may grow. Within a transaction the number stays the same.
func (s *sink[K, V]) forgetCount() error {
	s.count = -1
	return nil
}

func (s *sink[K, V]) partitions() (int32, error) {
	count, err := s.base.task.Partitions(s.out.Topic)
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", s.out.Topic, err)
	}
	return count, nil
}

func (s *sink[K, V]) encode(r *graph.Record[K, V]) (err error) {
	s.out.Key, s.out.Value = nil, nil
	switch {
	case r.NoKey:
	case r.KeyBytes != nil:
		s.out.Key = s.bytes.copy(r.KeyBytes)
	default:
		if s.out.Key, err = encodeTo(&s.bytes, s.c.Keys, r.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
	}
	if r.NoValue {
		return nil
	}
	if s.out.Value, err = encodeTo(&s.bytes, s.c.Values, r.Value); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	return nil
}

func (s *sink[K, V]) choosePartition(r *graph.Record[K, V], count int32) error {
	if s.to = nil; s.c.Partition != nil {
		s.to = s.c.Partition(r.Record, count)
	}
	for _, p := range s.to {
		if p < 0 || p >= count {
			return fmt.Errorf("the function of Partitioner chose partition %d of topic %s, which has %d", p, s.out.Topic, count)
		}
	}
	if s.to == nil {
		return s.placeOrDefault(r, count)
	}
	return nil
}

func (s *sink[K, V]) placeOrDefault(r *graph.Record[K, V], count int32) error {
	if s.c.Place == nil {
		return s.defaultPartition(r, count)
	}
	switch p := s.c.Place(&r.Record, count); {
	case p < 0:
		return s.defaultPartition(r, count)
	case p >= count:
		return fmt.Errorf("the record is for partition %d of topic %s, which has %d partitions: the topics that the application reads had more partitions before", p, s.out.Topic, count)
	default:
		s.out.Partition = p
		return nil
	}
}

func (s *sink[K, V]) defaultPartition(r *graph.Record[K, V], count int32) (err error) {
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
