package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/transient"
	"github.com/millrace-streams/millrace/internal/worker"
)

// fetchMaxWait is how long a fetch waits if no partition has records. Each fetch costs
// the broker something for each partition, even then.
const fetchMaxWait = 500 * time.Millisecond

// Bytes of one fetch: in all, and of one partition.
const (
	leastOfFetch, mostOfFetch         = 256 << 10, 50 << 20
	leastOfPartition, mostOfPartition = 64 << 10, 1 << 20
)

// readRetries are the pauses after a partition could not be read.
var readRetries = backoff.Backoff{First: 500 * time.Millisecond, Last: 2 * time.Second}

// reads makes the fetcher, and handles partitions that it cannot read.
type reads struct {
	*life
	client  *kgo.Client
	plan    *plan
	topics  *topicWatch
	fetcher *worker.Fetcher
}

// start makes the fetcher and runs it.
func (r *reads) start(clients *clients, memory int64) error {
	opts := clients.options(
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(fetchMaxWait), kgo.FetchMaxBytes(fetchBytes(memory)),
		kgo.FetchMaxPartitionBytes(partitionBytes(memory)),
	)
	fetcher, err := worker.NewFetcher(worker.FetcherConfig{Opts: opts, Memory: memory, Trouble: r.trouble, Logger: r.log})
	if err != nil {
		return err
	}
	r.fetcher = fetcher
	r.spawn(func() { fetcher.Run(r.hard) })
	if every, ok := confirmEvery(r.plan.graph); ok {
		r.spawn(func() { fetcher.Confirm(r.hard, every) })
	}
	return nil
}

// The shortest and the longest time between two questions whether quiet partitions are at
// their ends.
const minConfirm, maxConfirm = 50 * time.Millisecond, time.Second

// confirmEvery returns how often tasks need to know that, or false if no windows of the
// topology close while their inputs are idle.
func confirmEvery(g *graph.Graph) (every time.Duration, ok bool) {
	every = maxConfirm
	for _, n := range g.Nodes {
		if n.IdleAfter > 0 {
			every, ok = min(every, n.IdleAfter/4), true
		}
	}
	return max(every, minConfirm), ok
}

// fetchBytes returns the largest size of a fetch. The client fetches ahead once per
// broker, outside of the memory for input. A quarter keeps that small.
func fetchBytes(memory int64) int32 {
	return int32(min(max(memory/4, leastOfFetch), mostOfFetch))
}

// partitionBytes returns how much of one partition a fetch brings. It stays in memory
// until the last of its records has been processed. A small part lets the memory hold
// records of many partitions.
func partitionBytes(memory int64) int32 {
	return int32(min(max(memory/16, leastOfPartition), mostOfPartition))
}

// trouble is called by the fetcher if a partition cannot be read. The fetcher does not
// wait for the result.
func (r *reads) trouble(feed *worker.Feed, position int64, err error) {
	r.spawn(func() { r.readOn(feed, position, err) })
}

// readOn makes the fetcher continue with a partition, or fails the application.
func (r *reads) readOn(feed *worker.Feed, position int64, err error) {
	for failures := 1; r.soft.Err() == nil && !feed.Closed(); failures++ {
		at, failure := r.next(feed, position, err)
		switch {
		case failure == nil && at < position:
			r.fetcher.Rewind(feed, position, at)
			return
		case failure == nil:
			r.fetcher.Resume(feed, at)
			return
		case feed.Closed(): // the present reader may be further
			return
		case !transient.Is(failure):
			r.fail(fmt.Errorf("reading %s/%d at offset %d: %w", feed.Topic, feed.Partition, position, failure))
			return
		}
		r.log.Warn("reading a partition failed; trying again", "topic", feed.Topic, "partition", feed.Partition, "offset", position,
			"in", readRetries.Delay(failures), "error", failure)
		_ = readRetries.Sleep(r.soft, failures) // the loop checks soft
	}
}

// next returns where to continue reading a partition.
func (r *reads) next(feed *worker.Feed, position int64, err error) (int64, error) {
	ctx, cancel := context.WithTimeout(r.soft, topicsEvery)
	defer cancel()
	var lost *kgo.ErrDataLoss
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange), errors.As(err, &lost):
		topic, ok := r.plan.topic(feed.Topic)
		if !ok {
			return 0, err
		}
		return r.backIntoRange(ctx, topic, feed.Partition, position)
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		if changed := r.topics.compare(ctx); changed != nil {
			return 0, changed
		}
	case !transient.Is(err):
		return 0, err
	}
	r.log.Warn("reading a partition failed; trying again", "topic", feed.Topic, "partition", feed.Partition, "offset", position, "error", err)
	return position, backoff.Sleep(ctx, readRetries.First)
}

func (r *reads) backIntoRange(ctx context.Context, topic graph.Topic, partition int32, at int64) (int64, error) {
	name := r.plan.name(topic)
	admin := kadm.NewClient(r.client)
	starts, err := admin.ListStartOffsets(ctx, name)
	if err != nil {
		return 0, err
	}
	ends, err := admin.ListEndOffsets(ctx, name)
	if err != nil {
		return 0, err
	}
	start, _ := starts.Lookup(name, partition)
	end, _ := ends.Lookup(name, partition)
	if err := errors.Join(start.Err, end.Err); err != nil {
		return 0, err
	}
	if at >= start.Offset && at <= end.Offset {
		return at, nil
	}
	if at < start.Offset {
		if err := r.passed(ctx, name, partition, start.Offset); err != nil {
			return 0, err
		}
	}
	return r.plan.outOfRange(r.log, topic, partition, at, start.Offset, end.Offset)
}

// passedError says that another process has the task. The group is about to revoke it
// here.
type passedError struct{}

func (passedError) Error() string {
	return "another process has processed and purged the next records, so this process no longer owns the task; waiting for the group to revoke it"
}

// Transient marks the error for package transient: the group will revoke the task.
func (passedError) Transient() bool { return true }

// passed returns a passedError if the group has committed records that are no longer in
// the log. This process has not committed them. It was therefore taken for dead, and does
// not know it yet.
func (r *reads) passed(ctx context.Context, topic string, partition int32, start int64) error {
	committed, err := inputs.Committed(ctx, r.client, r.plan.application, map[string][]int32{topic: {partition}})
	if err != nil {
		return err
	}
	if at, ok := committed.Lookup(topic, partition); ok && at.At >= start {
		return passedError{}
	}
	return nil
}
