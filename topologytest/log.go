package topologytest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Record is a raw record of a topic.
type Record struct {
	Partition  int32
	Offset     int64
	Key, Value []byte // nil if absent
	Timestamp  processor.Timestamp
	Headers    processor.Headers
}

// logs are the topics of the driver with their committed records. Records of an aborted
// transaction never get there, so offsets have no gaps.
type logs struct {
	counts map[string]int32
	topics map[string]*topicLog
}

type topicLog struct {
	partitions [][]Record
	order      []Record // the records of all partitions, in order of commit
	turn       int32    // partition of the next record without a key
}

func newLogs() *logs {
	return &logs{counts: map[string]int32{}, topics: map[string]*topicLog{}}
}

// partitionsOf returns the number of partitions of a topic. The default is one.
func (l *logs) partitionsOf(topic string) int32 {
	if n := l.counts[topic]; n > 0 {
		return n
	}
	return 1
}

func (l *logs) topic(name string) *topicLog {
	t := l.topics[name]
	if t == nil {
		t = &topicLog{partitions: make([][]Record, l.partitionsOf(name))}
		l.topics[name] = t
	}
	return t
}

// choose returns the partition of a record without a partition: that of its key, or the
// next one in turn.
func (l *logs) choose(topic string, partition int32, key []byte) (int32, error) {
	n := l.partitionsOf(topic)
	switch {
	case partition >= n || partition < -1:
		return 0, fmt.Errorf("topic %s has no partition %d: it has %d", topic, partition, n)
	case partition >= 0:
		return partition, nil
	case key != nil:
		return serde.Partition(key, n), nil
	}
	t := l.topic(topic)
	t.turn++
	return (t.turn - 1) % n, nil
}

// append adds a committed record.
func (l *logs) append(topic string, r Record) {
	t := l.topic(topic)
	r.Offset = int64(len(t.partitions[r.Partition]))
	t.partitions[r.Partition] = append(t.partitions[r.Partition], r)
	t.order = append(t.order, r)
}

// end returns the offset after the last record of a partition.
func (l *logs) end(topic string, partition int32) int64 {
	t := l.topics[topic]
	if t == nil || int(partition) >= len(t.partitions) {
		return 0
	}
	return int64(len(t.partitions[partition]))
}

// read returns the records of a partition from an offset on.
func (l *logs) read(topic string, partition int32, from int64) []Record {
	if from >= l.end(topic, partition) {
		return nil
	}
	return l.topics[topic].partitions[partition][from:]
}

func (l *logs) names() []string { return slices.Sorted(maps.Keys(l.topics)) }

func inputs(topic string, records []Record) []graph.Input {
	out := make([]graph.Input, len(records))
	for i, r := range records {
		out[i] = graph.Input{
			Topic: topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value, Headers: r.Headers,
		}
	}
	return out
}
