package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Source reads a topic. Reading a topic a second time, with the same serdes and options, gives the same stream again.
func Source[K, V any](b *Builder, topic string, ks serde.Serde[K], vs serde.Serde[V], opts ...SourceOption) Stream[K, V] {
	return Sources(b, []string{topic}, ks, vs, opts...)
}

// Sources reads several topics as one stream. There is no order between records of different topics other than the choice by timestamp
// (see the package documentation).
func Sources[K, V any](b *Builder, topics []string, ks serde.Serde[K], vs serde.Serde[V], opts ...SourceOption) Stream[K, V] {
	b.begin()
	var o sourceOptions
	for _, opt := range withoutNil(opts) {
		opt.applySource(&o)
	}
	s := &sourceNode{topics: topics, keys: ks, values: vs, opts: o}
	if first := b.sameSource(s); first != nil {
		return Stream[K, V]{b: b, n: first.node, keys: ks, values: vs}
	}
	extract, typed := o.extractor.(extractor[K, V])
	n := &node{kind: graph.Source, op: "source", sourceOpts: o.SourceOptions, base: strings.Join(topics, "+")}
	n.make = newSource(ks, vs, canonical(ks), o.timestamps, extract)
	for _, topic := range topics {
		n.topics = append(n.topics, graph.Topic{Name: topic})
	}
	s.node = b.addSource(n, o.name)
	b.checkSource(s)
	b.needSerde(n, "key", ks, "which it decodes (serde.Bytes decodes nothing)")
	b.needSerde(n, "value", vs, "which it decodes (serde.Bytes decodes nothing)")
	if o.timestamps == extracted {
		b.needFunc(n, o.extractor)
		if !typed {
			b.problem("%v: the function of TimestampFrom is a %T, the source needs a %T", n, o.extractor, extract)
		}
	}
	return Stream[K, V]{b: b, n: n, keys: ks, values: vs}
}

type extractor[K, V any] = func(processor.Record[K, V], processor.Timestamp) (processor.Timestamp, error)

// sourceNode is what a source was made with.
type sourceNode struct {
	node         *node
	topics       []string
	keys, values any
	opts         sourceOptions
}

// addSource adds a source, which is called after its topics unless the user named it. What hangs on it is called after the topics alone.
func (b *Builder) addSource(n *node, name string) *node {
	base := n.base
	if b.add(n, name); n.auto {
		b.names.release(n.name)
		n.base, n.name = base, b.names.derive(base+"-source")
	}
	return n
}

// sameSource returns the source that reads the same topics in the same way already.
func (b *Builder) sameSource(s *sourceNode) *sourceNode {
	if b == nil || len(s.topics) == 0 {
		return nil
	}
	first := b.sources[s.topics[0]]
	if first == nil || !sameTopics(first.topics, s.topics) || first.difference(s) != "" {
		return nil
	}
	return first
}

func sameTopics(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// difference says in what two sources of the same topics differ; "" if in nothing.
func (s *sourceNode) difference(t *sourceNode) string {
	switch {
	case !graph.SameSerde(s.keys, t.keys):
		return fmt.Sprintf("their key serdes (%s and %s)", serde.Name(s.keys), serde.Name(t.keys))
	case !graph.SameSerde(s.values, t.values):
		return fmt.Sprintf("their value serdes (%s and %s)", serde.Name(s.values), serde.Name(t.values))
	case s.opts.extractor != nil || t.opts.extractor != nil:
		return "TimestampFrom (functions cannot be compared)"
	case s.opts.timestamps != t.opts.timestamps:
		return "what they do about invalid timestamps"
	case s.opts.SourceOptions != t.opts.SourceOptions:
		return "where they start to read"
	case t.opts.name != "" && t.opts.name != s.opts.name:
		return "their names"
	}
	return ""
}

// checkSource reports illegal topics and topics that another source reads.
func (b *Builder) checkSource(s *sourceNode) {
	if len(s.topics) == 0 {
		b.problem("%v: has no topics", s.node)
	}
	for i, topic := range s.topics {
		if err := checkTopicName(topic); err != nil {
			b.problem("%v: bad topic name %q: %v", s.node, topic, err)
		}
		if slices.Contains(s.topics[:i], topic) {
			b.problem("%v: reads topic %q twice", s.node, topic)
		}
		if first := b.sources[topic]; first != nil && first != s {
			what := "the topics that they read"
			if sameTopics(first.topics, s.topics) {
				what = first.difference(s)
			}
			b.problem("topic %q is read by two sources, which differ in %s: use the stream of the first one twice", topic, what)
			continue
		}
		b.sources[topic] = s
	}
}

// newSource returns what makes the instance of a source. keepKey says that the bytes of a key that is read are those that writing it would give.
func newSource[K, V any](ks serde.Serde[K], vs serde.Serde[V], keepKey bool, rule timestamps, extract extractor[K, V]) func(graph.Task, *graph.Node, []any) (any, error) {
	return func(t graph.Task, n *graph.Node, children []any) (any, error) {
		next, err := receiverOf[K, V](children)
		return &sourceInstance[K, V]{
			instance: instance{t, n}, keys: ks, values: vs, noKey: absenceOf(ks), noValue: absenceOf(vs),
			keepKey: keepKey, rule: rule, extract: extract, next: next,
		}, err
	}
}

type sourceInstance[K, V any] struct {
	instance
	keys    serde.Serde[K]
	values  serde.Serde[V]
	noKey   absence[K]
	noValue absence[V]
	keepKey bool
	rule    timestamps
	extract extractor[K, V]
	heads   []head[K, V] // of the partitions, decoded for the extractor
	out     graph.Record[K, V]
	next    graph.Receiver[K, V]
}

// head is the decoded record at the head of a partition's queue.
type head[K, V any] struct {
	topic     string
	partition int32
	offset    int64
	record    processor.Record[K, V]
}

func (s *sourceInstance[K, V]) Timestamp(in *graph.Input, partitionTime processor.Timestamp) (ts processor.Timestamp, ok bool, err error) {
	ts = in.Timestamp
	if s.rule == extracted {
		if ts, err = s.extractFrom(in, partitionTime); err != nil {
			return 0, false, err
		}
	}
	if ts >= 0 {
		return ts, true, nil
	}
	switch s.rule {
	case skipInvalid, extracted:
		s.drop(invalidTimestamp)
		return 0, false, nil
	case partitionTimeForInvalid:
		if partitionTime >= 0 {
			return partitionTime, true, nil
		}
		return 0, false, fmt.Errorf("the timestamp %d is invalid, and partition %d of %s has had no valid one yet", int64(ts), in.Partition, in.Topic)
	}
	return 0, false, fmt.Errorf("the timestamp %d is invalid: the producer may be older than Kafka 0.10; see topology.SkipInvalidTimestamps and TimestampFrom", int64(ts))
}

// extractFrom decodes a record, keeps it for Receive, and asks the user's function for its timestamp.
func (s *sourceInstance[K, V]) extractFrom(in *graph.Input, partitionTime processor.Timestamp) (ts processor.Timestamp, err error) {
	h := s.headOf(in.Topic, in.Partition)
	h.offset = -1
	if err := s.decode(in, &h.record); err != nil {
		return 0, err
	}
	h.offset = in.Offset
	defer graph.Guard(&err)
	return s.extract(h.record, partitionTime)
}

func (s *sourceInstance[K, V]) headOf(topic string, partition int32) *head[K, V] {
	for i := range s.heads {
		if h := &s.heads[i]; h.partition == partition && h.topic == topic {
			return h
		}
	}
	s.heads = append(s.heads, head[K, V]{topic: topic, partition: partition, offset: -1})
	return &s.heads[len(s.heads)-1]
}

func (s *sourceInstance[K, V]) Receive(in *graph.Input) error {
	if !s.decoded(in) {
		if err := s.decode(in, &s.out.Record); err != nil {
			if ok, failure := s.decodeFailed(in, err); !ok {
				return failure
			}
		}
	}
	s.out.KeyBytes = nil
	if s.keepKey {
		s.out.KeyBytes = in.Key
	}
	return s.next.Receive(&s.out)
}

// decoded takes the record that was decoded for the extractor, if it is this one.
func (s *sourceInstance[K, V]) decoded(in *graph.Input) bool {
	if s.extract == nil {
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

func (s *sourceInstance[K, V]) decodeFailed(in *graph.Input, err error) (ok bool, failure error) {
	return s.task.Fail(s.node, processor.Decode, err, func() error { return s.decode(in, &s.out.Record) })
}

func (s *sourceInstance[K, V]) decode(in *graph.Input, r *processor.Record[K, V]) (err error) {
	defer graph.Guard(&err)
	*r = processor.Record[K, V]{NoKey: in.Key == nil, NoValue: in.Value == nil, Timestamp: in.Timestamp, Headers: in.Headers}
	if !r.NoKey {
		if r.Key, err = s.keys.Decode(in.Key); err != nil {
			return fmt.Errorf("key: %w", err)
		}
	}
	if !r.NoValue {
		if r.Value, err = s.values.Decode(in.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
	}
	normalize(r, s.noKey, s.noValue)
	return nil
}
