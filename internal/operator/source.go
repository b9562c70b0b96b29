package operator

import (
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

	Timestamps TimestampRule
}

// TimestampRule says where a source takes a record's timestamp from, and what it does
// with a negative one.
type TimestampRule int

// The rules about timestamps.
const (
	FailOnInvalid TimestampRule = iota // Kafka's; negative: error
	SkipInvalid                        // Kafka's; negative: dropped
	// Kafka's; negative: the partition's largest.
	PartitionTimeForInvalid
	Extracted // the extractor's; negative: dropped; see ExtractedSource
)

// New makes the node's instance for one task.
func (c Source[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	return c.open(t, n, children)
}

func (c Source[K, V]) open(t graph.Task, n *graph.Node, children []any) (*source[K, V], error) {
	next, err := receiverOf[K, V](children)
	return &source[K, V]{c: c, base: base{t, n}, decoder: c.decoder(), next: next}, err
}

type source[K, V any] struct {
	base    base
	c       Source[K, V]
	decoder decoder[K, V]
	out     graph.Record[K, V]
	next    graph.Receiver[K, V]
}

func (s *source[K, V]) Timestamp(in *graph.Input, partitionTime processor.Timestamp) (ts processor.Timestamp, ok bool, err error) {
	return s.base.valid(s.c.Timestamps, in.Timestamp, in, partitionTime)
}

// valid applies a rule to the timestamp ts of a record. ok is false if the record is
// dropped.
func (b *base) valid(rule TimestampRule, ts processor.Timestamp, in *graph.Input, partitionTime processor.Timestamp) (_ processor.Timestamp, ok bool, err error) {
	if ts >= 0 {
		return ts, true, nil
	}
	switch rule {
	case SkipInvalid, Extracted:
		b.drop(invalidTimestamp)
		return 0, false, nil
	case PartitionTimeForInvalid:
		if partitionTime >= 0 {
			return partitionTime, true, nil
		}
		return 0, false, fmt.Errorf("the timestamp %d is invalid, and partition %d of %s has not had a valid one yet", int64(ts), in.Partition, in.Topic)
	}
	return 0, false, invalidTimestampError(ts)
}

func invalidTimestampError(ts processor.Timestamp) error {
	return fmt.Errorf("the timestamp %d is invalid: the producer may be older than Kafka 0.10; see topology.SkipInvalidTimestamps and TimestampFrom", int64(ts))
}

func (s *source[K, V]) Receive(in *graph.Input) error {
	if err := s.decoder.decode(in, &s.out.Record); err != nil {
		if ok, failure := s.decodeFailed(in, err); !ok {
			return failure
		}
	}
	return s.pass(in)
}

// pass passes out on.
func (s *source[K, V]) pass(in *graph.Input) error {
	s.out.KeyBytes = nil
	if s.c.KeepKey {
		s.out.KeyBytes = in.Key
	}
	return s.next.Receive(&s.out)
}

func (s *source[K, V]) decodeFailed(in *graph.Input, err error) (ok bool, failure error) {
	return s.base.task.Fail(s.base.node, processor.Decode, err, func() error { return s.decoder.decode(in, &s.out.Record) })
}

// decoder decodes the records of a source.
type decoder[K, V any] struct {
	keys    serde.Serde[K]
	values  serde.Serde[V]
	noKey   absence[K]
	noValue absence[V]
}

func (c Source[K, V]) decoder() decoder[K, V] {
	return decoder[K, V]{keys: c.Keys, values: c.Values, noKey: absenceOf(c.Keys), noValue: absenceOf(c.Values)}
}

func (d *decoder[K, V]) decode(in *graph.Input, r *processor.Record[K, V]) (err error) {
	defer graph.Guard(&err)
	*r = processor.Record[K, V]{NoKey: in.Key == nil, NoValue: in.Value == nil, Timestamp: in.Timestamp, Headers: in.Headers}
	if !r.NoKey {
		if r.Key, err = d.keys.Decode(in.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
	}
	if !r.NoValue {
		if r.Value, err = d.values.Decode(in.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
	}
	normalize(r, d.noKey, d.noValue)
	return nil
}
