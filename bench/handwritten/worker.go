package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// worker reads partitions, and commits what they result in by transactions.
type worker struct {
	config
	session *kgo.GroupTransactSession
	dir     string
	counts  map[int32]*counts // by partition of the topic that is counted

	mu      sync.Mutex
	revoked []int32
	failed  error // of a record that was not written
}

// work counts until ctx ends.
func work(ctx context.Context, c config, number int) error {
	w := &worker{config: c, dir: filepath.Join(c.dir, fmt.Sprint("worker-", number)), counts: map[int32]*counts{}}
	topics := []string{c.input}
	if c.split {
		topics = append(topics, c.repartition())
	}
	session, err := kgo.NewGroupTransactSession(c.clientOptions(
		kgo.ConsumerGroup(c.application), kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.Balancers(kgo.RangeBalancer()),
		kgo.TransactionalID(fmt.Sprintf("%s-%d", c.application, number)),
		kgo.RecordPartitioner(partitioner(c.changelog())), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(200_000),
		kgo.OnPartitionsRevoked(w.gone), kgo.OnPartitionsLost(w.gone),
	)...)
	if err != nil {
		return err
	}
	w.session = session
	defer session.Close()
	for ctx.Err() == nil && err == nil {
		err = w.interval(ctx)
	}
	for _, counts := range w.counts {
		err = errors.Join(err, counts.close())
	}
	return err
}

// partitioner writes each changelog record to the partition that it names, and other
// records by the hash of their key.
func partitioner(changelog string) kgo.Partitioner {
	byKey := kgo.StickyKeyPartitioner(nil)
	return kgo.BasicConsistentPartitioner(func(topic string) func(*kgo.Record, int) int {
		if topic == changelog {
			return func(r *kgo.Record, _ int) int { return int(r.Partition) }
		}
		return byKey.ForTopic(topic).Partition
	})
}

func (w *worker) gone(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.revoked = append(w.revoked, partitions[w.counted()]...)
}

// interval processes what arrives in one commit interval, and commits it.
func (w *worker) interval(ctx context.Context) error {
	if err := w.session.Begin(); err != nil {
		return err
	}
	until, cancel := context.WithTimeout(ctx, w.commit)
	defer cancel()
	var err error
	for until.Err() == nil && err == nil {
		w.session.PollRecords(until, 10_000).EachPartition(func(p kgo.FetchTopicPartition) {
			if p.Err != nil && !errors.Is(p.Err, context.DeadlineExceeded) && !errors.Is(p.Err, context.Canceled) {
				err = errors.Join(err, fmt.Errorf("read %s/%d: %w", p.Topic, p.Partition, p.Err))
			}
			err = errors.Join(err, w.process(ctx, p))
		})
	}
	return w.end(err)
}

func (w *worker) process(ctx context.Context, p kgo.FetchTopicPartition) error {
	if len(p.Records) == 0 {
		return nil
	}
	if p.Topic != w.counted() {
		for _, r := range p.Records {
			for word := range strings.SplitSeq(string(r.Value), " ") {
				w.send(&kgo.Record{Topic: w.repartition(), Key: []byte(word), Timestamp: r.Timestamp})
			}
		}
		return nil
	}
	counts := w.counts[p.Partition]
	if counts == nil {
		var err error
		if counts, err = restore(ctx, w.config, w.dir, p.Partition); err != nil {
			return fmt.Errorf("restore partition %d: %w", p.Partition, err)
		}
		w.counts[p.Partition] = counts
	}
	for _, r := range p.Records {
		if err := counts.add(r.Key); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) send(r *kgo.Record) {
	w.session.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
		if err != nil {
			w.mu.Lock()
			w.failed = err
			w.mu.Unlock()
		}
	})
}

// end sends the changed counts and ends the transaction: it commits, unless failure is
// set or the group has taken partitions away meanwhile.
func (w *worker) end(failure error) error {
	ctx := context.Background()
	if failure == nil {
		for partition, counts := range w.counts {
			for _, c := range counts.changed {
				value := binary.BigEndian.AppendUint64(nil, c.n)
				w.send(&kgo.Record{Topic: w.changelog(), Partition: partition, Key: c.key, Value: value})
				w.send(&kgo.Record{Topic: w.output, Key: c.key, Value: value})
			}
		}
		failure = w.session.Client().Flush(ctx)
	}
	w.mu.Lock()
	failure, w.failed = errors.Join(failure, w.failed), nil
	w.mu.Unlock()
	committed, err := w.session.End(ctx, kgo.TransactionEndTry(failure == nil))
	failure = errors.Join(failure, err)
	for _, counts := range w.counts {
		if committed {
			failure = errors.Join(failure, counts.keep())
		} else {
			counts.drop()
		}
	}
	return errors.Join(failure, w.closeRevoked())
}

func (w *worker) closeRevoked() (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, partition := range w.revoked {
		if counts := w.counts[partition]; counts != nil {
			err = errors.Join(err, counts.close())
			delete(w.counts, partition)
		}
	}
	w.revoked = nil
	return err
}
