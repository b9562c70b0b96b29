package topologytest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Send appends a raw record to a partition of a topic, and processes it. With partition
// -1, the key determines the partition; records without a key go to the partitions in
// turn. A nil key or value is absent. A topic that does not exist fails the test; see
// [Topics].
func (d *Driver) Send(topic string, partition int32, key, value []byte, at processor.Timestamp, headers ...processor.Header) {
	d.t.Helper()
	d.send(topic, Record{
		Partition: partition, Key: bytes.Clone(key), Value: bytes.Clone(value), Timestamp: at, Headers: headers,
	})
}

func (d *Driver) send(topic string, r Record) {
	d.t.Helper()
	d.must(topic)
	partition, err := d.logs.choose(topic, r.Partition, r.Key)
	if err != nil {
		d.t.Fatalf("topologytest: %v", err)
	}
	r.Partition = partition
	d.do(func() error {
		d.logs.append(topic, r)
		return d.settle()
	})
}

// InputTopic sends typed records to a topic.
type InputTopic[K, V any] struct {
	d     *Driver
	topic string
	keys  serde.Serde[K]
	vals  serde.Serde[V]
}

// Input returns an InputTopic. The topic need not be read by a source. A topic that does
// not exist fails the test; see [Topics].
func Input[K, V any](d *Driver, topic string, ks serde.Serde[K], vs serde.Serde[V]) *InputTopic[K, V] {
	d.t.Helper()
	if ks == nil || vs == nil {
		d.t.Fatalf("topologytest: input of topic %s: a serde is nil: pass one for keys and one for values", topic)
	}
	d.must(topic)
	return &InputTopic[K, V]{d, topic, ks, vs}
}

// Send sends a record to the partition of its key, and processes it.
func (in *InputTopic[K, V]) Send(key K, value V, at time.Time, headers ...processor.Header) {
	in.d.t.Helper()
	in.SendRecord(processor.Record[K, V]{Key: key, Value: value, Timestamp: processor.TimestampOf(at), Headers: headers})
}

// SendRecord sends a record, which may lack a key or a value. It goes to the partition of
// its key; records without a key go to the partitions in turn. The zero Timestamp is
// 1970, because a record in Kafka may have it.
func (in *InputTopic[K, V]) SendRecord(r processor.Record[K, V]) {
	in.d.t.Helper()
	partition := int32(-1)
	if !absent(in.keys, r.Key, r.NoKey) {
		hashed, err := serde.AppendPartitionKey(nil, in.keys, r.Key)
		if err != nil {
			in.d.t.Fatalf("topologytest: topic %s: key %v: %v", in.topic, r.Key, err)
		}
		partition = serde.Partition(hashed, in.d.logs.partitionsOf(in.topic))
	}
	in.SendTo(partition, r)
}

// SendTo sends a record to a partition, and processes it.
func (in *InputTopic[K, V]) SendTo(partition int32, r processor.Record[K, V]) {
	in.d.t.Helper()
	key, err := encode(in.keys, r.Key, r.NoKey)
	if err != nil {
		in.d.t.Fatalf("topologytest: topic %s: key %v: %v", in.topic, r.Key, err)
	}
	value, err := encode(in.vals, r.Value, r.NoValue)
	if err != nil {
		in.d.t.Fatalf("topologytest: topic %s: value %v: %v", in.topic, r.Value, err)
	}
	in.d.send(in.topic, Record{Partition: partition, Key: key, Value: value, Timestamp: r.Timestamp, Headers: r.Headers})
}

// OutputTopic reads typed records from a topic.
type OutputTopic[K, V any] struct {
	d     *Driver
	topic string
	keys  serde.Serde[K]
	vals  serde.Serde[V]
	read  int
}

// Output returns an OutputTopic that starts at the beginning of the topic. If nothing was
// written to the topic, it has no records. A topic that does not exist fails the test;
// see [Topics]. If a function of the topology chooses topics, the failure comes from
// [OutputTopic.Records].
func Output[K, V any](d *Driver, topic string, ks serde.Serde[K], vs serde.Serde[V]) *OutputTopic[K, V] {
	d.t.Helper()
	if ks == nil || vs == nil {
		d.t.Fatalf("topologytest: output of topic %s: a serde is nil: pass one for keys and one for values", topic)
	}
	if !d.chooses() {
		d.mustRead(topic)
	}
	return &OutputTopic[K, V]{d: d, topic: topic, keys: ks, vals: vs}
}

// Records returns the committed records that it has not returned before, in order of
// commit, or nil if there are none.
func (o *OutputTopic[K, V]) Records() []processor.Record[K, V] {
	o.d.t.Helper()
	o.d.mustRead(o.topic)
	t := o.d.logs.topics[o.topic]
	if t == nil {
		return nil
	}
	var out []processor.Record[K, V]
	for _, raw := range t.order[o.read:] {
		r, err := o.decode(raw)
		if err != nil {
			o.d.t.Fatalf("topologytest: topic %s, partition %d, offset %d: %v", o.topic, raw.Partition, raw.Offset, err)
		}
		out = append(out, r)
	}
	o.read += len(out)
	return out
}

func (o *OutputTopic[K, V]) decode(raw Record) (r processor.Record[K, V], err error) {
	r.Timestamp, r.Headers = raw.Timestamp, raw.Headers
	if r.NoKey = raw.Key == nil; !r.NoKey {
		if r.Key, err = o.keys.Decode(raw.Key); err != nil {
			return r, fmt.Errorf("key %q: %w", raw.Key, err)
		}
	}
	if r.NoValue = raw.Value == nil; !r.NoValue {
		if r.Value, err = o.vals.Decode(raw.Value); err != nil {
			return r, fmt.Errorf("value %q: %w", raw.Value, err)
		}
	}
	return r, nil
}

func encode[T any](s serde.Serde[T], v T, none bool) ([]byte, error) {
	if absent(s, v, none) {
		return nil, nil
	}
	// An empty encoding differs from an absent one.
	return s.Append([]byte{}, v)
}

func absent[T any](s serde.Serde[T], v T, none bool) bool {
	o, ok := s.(serde.Optional[T])
	return none || ok && o.Absent(v)
}
