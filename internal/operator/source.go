package operator

import (
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Source decodes the records of topics.
type Source[K, V any] struct {
	Keys   serde.Serde[K]
	Values serde.Serde[V]

	// KeepKey says that the encoding of a decoded key equals the bytes that were read.
	// The bytes are then passed on with the key.
	KeepKey bool

	// Internal says that the topic is a repartition topic, which may have partials.
	Internal bool

	Timestamps TimestampRule
	Extract    Extractor[K, V] // if Timestamps is Extracted
}

// Extractor returns the event time of a record. partitionTime is the largest timestamp of
// the partition so far, -1 at first.
type Extractor[K, V any] = func(r processor.Record[K, V], partitionTime processor.Timestamp) (processor.Timestamp, error)

// TimestampRule says where a source takes a record's timestamp from, and what it does
// with a negative one.
type TimestampRule int

// The rules about timestamps.
const (
	FailOnInvalid TimestampRule = iota // Kafka's; negative: error
	SkipInvalid                        // Kafka's; negative: dropped
	// Kafka's; negative: the partition's largest.
	PartitionTimeForInvalid
	Extracted // the extractor's; negative: dropped
)

// New makes the node's instance for one task.
func (c Source[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, V](children)
	s := &source[K, V]{c: c, base: base{t, n}, noKey: absenceOf(c.Keys), noValue: absenceOf(c.Values), next: next}
	for _, child := range children {
		if p, ok := child.(partialReceiver[K]); ok {
			s.partials = append(s.partials, p)
		} else {
			s.others++
		}
	}
	return s, err
}

type source[K, V any] struct {
	base    base
	c       Source[K, V]
	noKey   absence[K]
	noValue absence[V]
	heads   []head[K, V] // of the partitions, decoded for the extractor
	out     graph.Record[K, V]
	next    graph.Receiver[K, V]

	partials []partialReceiver[K] // the children that take partials
	others   int                  // how many children do not
	part     partial[K]
}

// head is the decoded record at the head of a partition's queue.
type head[K, V any] struct {
	topic     string
	partition int32
	offset    int64
	record    processor.Record[K, V]
}

func (s *source[K, V]) Timestamp(in *graph.Input, partitionTime processor.Timestamp) (ts processor.Timestamp, ok bool, err error) {
	ts = in.Timestamp
	if s.c.Timestamps == Extracted {
		if ts, err = s.extractFrom(in, partitionTime); err != nil {
			return 0, false, err
		}
	}
	if ts >= 0 {
		return ts, true, nil
	}
	switch s.c.Timestamps {
	case SkipInvalid, Extracted:
		s.base.drop(invalidTimestamp)
		return 0, false, nil
	case PartitionTimeForInvalid:
		if partitionTime >= 0 {
			return partitionTime, true, nil
		}
		return 0, false, fmt.Errorf("the timestamp %d is invalid, and partition %d of %s has not had a valid one yet", int64(ts), in.Partition, in.Topic)
	}
	return 0, false, fmt.Errorf("the timestamp %d is invalid: the producer may be older than Kafka 0.10; see topology.SkipInvalidTimestamps and TimestampFrom", int64(ts))
}

// extractFrom decodes a record, keeps it for Receive, and calls the extractor.
func (s *source[K, V]) extractFrom(in *graph.Input, partitionTime processor.Timestamp) (ts processor.Timestamp, err error) {
	h := s.headOf(in.Topic, in.Partition)
	h.offset = -1
	if err := s.decode(in, &h.record); err != nil {
		return 0, err
	}
	h.offset = in.Offset
	defer graph.Guard(&err)
	return s.c.Extract(h.record, partitionTime)
}

func (s *source[K, V]) headOf(topic string, partition int32) *head[K, V] {
	for i := range s.heads {
		if h := &s.heads[i]; h.partition == partition && h.topic == topic {
			return h
		}
	}
	s.heads = append(s.heads, head[K, V]{topic: topic, partition: partition, offset: -1})
	return &s.heads[len(s.heads)-1]
}

func (s *source[K, V]) Receive(in *graph.Input) error {
	if s.c.Internal && isPartial(in.Headers) {
		return s.receivePartial(in)
	}
	if !s.decoded(in) {
		if err := s.decode(in, &s.out.Record); err != nil {
			if ok, failure := s.decodeFailed(in, err); !ok {
				return failure
			}
		}
	}
	s.out.KeyBytes = nil
	if s.c.KeepKey {
		s.out.KeyBytes = in.Key
	}
	return s.next.Receive(&s.out)
}

// decoded sets out to the record that was decoded for the extractor, if it is this one.
func (s *source[K, V]) decoded(in *graph.Input) bool {
	if s.c.Extract == nil {
		return false
	}
	h := s.headOf(in.Topic, in.Partition)
	if h.offset != in.Offset {
		return false
	}
	s.out.Record = h.record
	s.out.Timestamp = in.Timestamp
	h.offset, h.record = -1, processor.Record[K, V]{}
	return true
}

func (s *source[K, V]) decodeFailed(in *graph.Input, err error) (ok bool, failure error) {
	return s.base.task.Fail(s.base.node, processor.Decode, err, func() error { return s.decode(in, &s.out.Record) })
}

func (s *source[K, V]) decode(in *graph.Input, r *processor.Record[K, V]) (err error) {
	defer graph.Guard(&err)
	*r = processor.Record[K, V]{NoKey: in.Key == nil, NoValue: in.Value == nil, Timestamp: in.Timestamp, Headers: in.Headers}
	if !r.NoKey {
		if r.Key, err = s.c.Keys.Decode(in.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
	}
	if !r.NoValue {
		if r.Value, err = s.c.Values.Decode(in.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
	}
	normalize(r, s.noKey, s.noValue)
	return nil
}

// receivePartial passes a partial to the aggregations that can merge it. Other children
// do not get it: they were added to the application after the partial was sent.
func (s *source[K, V]) receivePartial(in *graph.Input) error {
	if err := s.decodePartial(in); err != nil {
		if ok, failure := s.partialFailed(in, err); !ok {
			return failure
		}
	}
	for range s.others {
		s.base.drop(partialRecord)
	}
	for _, to := range s.partials {
		if err := to.ReceivePartial(&s.part); err != nil {
			return err
		}
	}
	return nil
}

func (s *source[K, V]) partialFailed(in *graph.Input, err error) (ok bool, failure error) {
	return s.base.task.Fail(s.base.node, processor.Decode, err, func() error { return s.decodePartial(in) })
}

// decodePartial sets part.
func (s *source[K, V]) decodePartial(in *graph.Input) (err error) {
	defer graph.Guard(&err)
	if err := checkPartial(in.Headers); err != nil {
		return err
	}
	if in.Key == nil || in.Value == nil {
		return errors.New("a partial result has no key or no value")
	}
	key, err := s.c.Keys.Decode(in.Key)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	s.part.Key, s.part.KeyBytes, s.part.encoded = key, in.Key, in.Value
	s.part.Timestamp, s.part.Headers = in.Timestamp, unmarked(in.Headers)
	return nil
}
