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

// explainFailure says what to do about failures of workers that have a name in Kafka
// only.
func explainFailure(err error) error {
	if errors.Is(err, kerr.OffsetMetadataTooLarge) {
		return fmt.Errorf("the times of the topology's operators do not fit into the metadata of an offset; raise the broker's offset.metadata.max.bytes: %w", err)
	}
	return err
}

// readRetries are of partitions that cannot be read.
var readRetries = backoff.Backoff{First: 500 * time.Millisecond, Last: 2 * time.Second}

// fetchTrouble is told by the fetcher that a partition cannot be read. The fetcher does
// not wait for what is done about it.
func (s *Run) fetchTrouble(feed *worker.Feed, position int64, err error) {
	s.spawn(func() { s.readOn(feed, position, err) })
}

// readOn makes the fetcher go on with a partition, or fails the application.
func (s *Run) readOn(feed *worker.Feed, position int64, err error) {
	for failures := 1; s.soft.Err() == nil && !feed.Closed(); failures++ {
		at, failure := s.putRight(feed, position, err)
		switch {
		case failure == nil && at < position:
			s.fetcher.Rewind(feed, position, at)
			return
		case failure == nil:
			s.fetcher.Resume(feed, at)
			return
		case feed.Closed(): // whoever reads the partition now may be further
			return
		case !transient.Is(failure):
			s.fail(fmt.Errorf("reading %s/%d at offset %d: %w", feed.Topic, feed.Partition, position, failure))
			return
		}
		s.log.Warn("reading a partition failed; trying again", "topic", feed.Topic, "partition", feed.Partition, "offset", position,
			"in", readRetries.Delay(failures), "error", failure)
		_ = readRetries.Sleep(s.soft, failures) // the loop sees the end
	}
}

// putRight returns where to read a partition on.
func (s *Run) putRight(feed *worker.Feed, position int64, err error) (int64, error) {
	ctx, cancel := context.WithTimeout(s.soft, topicsEvery)
	defer cancel()
	var lost *kgo.ErrDataLoss
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange), errors.As(err, &lost):
		topic, ok := s.topicOf(feed.Topic)
		if !ok {
			return 0, err
		}
		return s.backIntoRange(ctx, topic, feed.Partition, position)
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		if changed := s.compareTopics(ctx); changed != nil {
			return 0, changed
		}
	case !transient.Is(err):
		return 0, err
	}
	s.log.Warn("reading a partition failed; trying again", "topic", feed.Topic, "partition", feed.Partition, "offset", position, "error", err)
	return position, backoff.Sleep(ctx, readRetries.First)
}

func (s *Run) backIntoRange(ctx context.Context, topic graph.Topic, partition int32, at int64) (int64, error) {
	name := topic.In(s.cfg.ApplicationID)
	admin := kadm.NewClient(s.client)
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
		if err := s.passed(ctx, name, partition, start.Offset); err != nil {
			return 0, err
		}
	}
	return s.outOfRange(topic, partition, at, start.Offset, end.Offset)
}

// passedError says that another process has the task, which the group is about to take
// away here.
type passedError struct{}

func (passedError) Error() string {
	return "another process has processed what comes next and has purged it, so the task is not this process's any more; waiting for the group to say so"
}

// Transient is for package transient: the group takes the task away.
func (passedError) Transient() bool { return true }

// passed returns a passedError if the group has committed what is not in the log any
// more: this process has not, so it is one that was taken for dead, and does not know it
// yet.
func (s *Run) passed(ctx context.Context, topic string, partition int32, start int64) error {
	committed, err := inputs.Committed(ctx, s.client, s.cfg.ApplicationID, map[string][]int32{topic: {partition}})
	if err != nil {
		return err
	}
	if at, ok := committed.Lookup(topic, partition); ok && at.At >= start {
		return passedError{}
	}
	return nil
}

// watchCalls names tasks whose user code has been running for so long that the
// transaction may not come through.
func (s *Run) watchCalls() {
	limit := s.cfg.TransactionTimeout / 2
	reported := make([]time.Time, len(s.workers))
	for backoff.Sleep(s.soft, min(limit/4, time.Second)) == nil {
		for i, w := range s.workers {
			t, since := w.Busy()
			if t == nil || time.Since(since) < limit || reported[i].Equal(since) {
				continue
			}
			reported[i] = since
			s.log.Warn("user code runs for longer than half the transaction timeout; if it does not return in time, the transaction is aborted and its records are processed again",
				"worker", i, "sub_topology", t.ID.SubTopology, "partition", t.ID.Partition, "running", time.Since(since), "stack", w.Stack())
		}
	}
}
