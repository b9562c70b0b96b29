// Package follow reads topics whole: all partitions, from given offsets, up to the end
// and on. It is for readers that belong to no group.
//
// Only committed records are read. Like the restore of changelogs, a reader therefore
// waits for open transactions below the offset that it has to reach.
package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Config configures a Topic.
type Config struct {
	// Opts are the options of the client. The options of this package come after them and
	// take precedence.
	Opts []kgo.Opt
	// Topic is the name of the topic, and From the offsets of all its partitions.
	Topic string
	From  map[int32]int64
	// Bytes bounds a fetch. 0 means 50 MiB.
	Bytes int32
}

// Topic reads one topic. Only one goroutine may use it.
type Topic struct {
	cl   *kgo.Client
	next map[int32]int64
}

// Batch has records that were read from one partition. The records belong to the caller.
// If there are none, only the position or the end has moved.
type Batch struct {
	Partition int32
	Records   []*kgo.Record // without control records
	Next      int64         // the offset after the batch
	End       int64         // the end of the log as far as it can be read; -1 if unknown
}

// Error says that a partition cannot be read. The Topic must be closed.
type Error struct {
	Topic     string
	Partition int32
	Offset    int64
	Err       error
}

func (e *Error) Error() string {
	return fmt.Sprintf("reading %s/%d at offset %d: %v", e.Topic, e.Partition, e.Offset, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

const (
	usualBytes = 50 << 20
	maxWait    = 100 * time.Millisecond
	pollAtOnce = 16384 // records
)

// Open returns a Topic. It does not connect; the first Poll does.
func Open(cfg Config) (*Topic, error) {
	bytes := cfg.Bytes
	if bytes <= 0 {
		bytes = usualBytes
	}
	from := make(map[int32]kgo.Offset, len(cfg.From))
	t := &Topic{next: make(map[int32]int64, len(cfg.From))}
	for p, offset := range cfg.From {
		from[p], t.next[p] = kgo.NewOffset().At(offset), offset
	}
	cl, err := kgo.NewClient(append(append([]kgo.Opt{}, cfg.Opts...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{cfg.Topic: from}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(maxWait), kgo.FetchMaxBytes(bytes), kgo.FetchMaxPartitionBytes(min(bytes, 4<<20)),
	)...)
	if err != nil {
		return nil, fmt.Errorf("client that reads topic %s: %w", cfg.Topic, err)
	}
	t.cl = cl
	return t, nil
}

// Close ends the connections.
func (t *Topic) Close() { t.cl.Close() }

// Poll waits for records until ctx ends, and returns them. If ctx ends first, it returns
// nothing and no error. The error is an *Error. It comes with the batches of the other
// partitions, and of the same partition below the offset.
func (t *Topic) Poll(ctx context.Context) (batches []Batch, err error) {
	fetches := t.cl.PollRecords(ctx, pollAtOnce)
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) > 0 || p.Err == nil {
			batches = append(batches, t.batch(p))
		}
		if p.Err != nil && !errors.Is(p.Err, context.Canceled) && !errors.Is(p.Err, context.DeadlineExceeded) && err == nil {
			err = &Error{p.Topic, p.Partition, t.next[p.Partition], p.Err}
		}
	})
	return batches, err
}

func (t *Topic) batch(p kgo.FetchTopicPartition) Batch {
	b := Batch{Partition: p.Partition, End: p.LastStableOffset, Records: make([]*kgo.Record, 0, len(p.Records))}
	if p.Err != nil {
		b.End = -1
	}
	for _, r := range p.Records {
		t.next[p.Partition] = r.Offset + 1
		if !r.Attrs.IsControl() {
			b.Records = append(b.Records, r)
		}
	}
	b.Next = t.next[p.Partition]
	return b
}
