package operator

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// ExtractedSource is a Source with an extractor. The rule of its timestamps is Extracted.
type ExtractedSource[K, V any] struct {
	Source  Source[K, V]
	Extract Extractor[K, V]
}

// Extractor returns the event time of a record. partitionTime is the largest timestamp of
// the partition so far, -1 at first.
type Extractor[K, V any] = func(r processor.Record[K, V], partitionTime processor.Timestamp) (processor.Timestamp, error)

// New makes the node's instance for one task.
func (c ExtractedSource[K, V]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	s, err := c.Source.open(t, n, children)
	return &extracted[K, V]{source: s, extract: c.Extract}, err
}

// extracted is the instance of an ExtractedSource node.
type extracted[K, V any] struct {
	source  *source[K, V]
	extract Extractor[K, V]
	heads   []head[K, V] // of the partitions, decoded for the extractor
}

// head is the decoded record at the head of a partition's queue.
type head[K, V any] struct {
	topic     string
	partition int32
	offset    int64
	record    processor.Record[K, V]
}

func (e *extracted[K, V]) Timestamp(in *graph.Input, partitionTime processor.Timestamp) (ts processor.Timestamp, ok bool, err error) {
	if ts, err = e.extractFrom(in, partitionTime); err != nil {
		return 0, false, err
	}
	return e.source.base.valid(Extracted, ts, in, partitionTime)
}

// extractFrom decodes a record, keeps it for Receive, and calls the extractor.
func (e *extracted[K, V]) extractFrom(in *graph.Input, partitionTime processor.Timestamp) (ts processor.Timestamp, err error) {
	h := e.headOf(in.Topic, in.Partition)
	h.offset = -1
	if err := e.source.decoder.decode(in, &h.record); err != nil {
		return 0, err
	}
	h.offset = in.Offset
	defer graph.Guard(&err)
	return e.extract(h.record, partitionTime)
}

func (e *extracted[K, V]) headOf(topic string, partition int32) *head[K, V] {
	for i := range e.heads {
		if h := &e.heads[i]; h.partition == partition && h.topic == topic {
			return h
		}
	}
	e.heads = append(e.heads, head[K, V]{topic: topic, partition: partition, offset: -1})
	return &e.heads[len(e.heads)-1]
}

// Receive passes on the record that was decoded for the extractor, if it is this one.
func (e *extracted[K, V]) Receive(in *graph.Input) error {
	h := e.headOf(in.Topic, in.Partition)
	if h.offset != in.Offset {
		return e.source.Receive(in)
	}
	e.source.out.Record = h.record
	e.source.out.Timestamp = in.Timestamp
	h.offset, h.record = -1, processor.Record[K, V]{}
	return e.source.pass(in)
}
