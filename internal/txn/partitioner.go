package txn

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// partitioner sends a record to its partition if Partition >= 0. For any other record it
// uses Kafka's default: murmur2 of the key, or one partition per batch for records
// without a key.
type partitioner struct {
	byKey  kgo.Partitioner
	refuse func(*kgo.Record, error)
}

func newPartitioner(refuse func(*kgo.Record, error)) partitioner {
	return partitioner{byKey: kgo.StickyKeyPartitioner(nil), refuse: refuse}
}

func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	inner := p.byKey.ForTopic(topic)
	onNewBatch, _ := inner.(kgo.TopicPartitionerOnNewBatch)
	return &topicPartitioner{inner: inner, onNewBatch: onNewBatch, refuse: p.refuse}
}

type topicPartitioner struct {
	inner      kgo.TopicPartitioner
	onNewBatch kgo.TopicPartitionerOnNewBatch
	refuse     func(*kgo.Record, error)
}

// RequiresConsistency is true for an explicit partition: the index that Partition returns
// must count all partitions, not only the ones that are writable at the moment.
func (t *topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || t.inner.RequiresConsistency(r)
}

func (t *topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition < 0 {
		return t.inner.Partition(r, n)
	}
	if int(r.Partition) >= n {
		t.refuse(r, fmt.Errorf("%w: partition %d of %q, which has %d", errPartition, r.Partition, r.Topic, n))
		return -1 // kgo fails the record; the error above is reported instead of kgo's
	}
	return int(r.Partition)
}

func (t *topicPartitioner) OnNewBatch() {
	if t.onNewBatch != nil {
		t.onNewBatch.OnNewBatch()
	}
}
