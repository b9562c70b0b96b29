package restore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Partition is one changelog partition to read.
type Partition struct {
	Topic     string
	Partition int32
	// From is the position to read from: the offset after the last record that the store
	// has. -1 means the start of the log.
	From int64
	// To is where to stop before the end of the log, if Bounded is set: records at To and
	// after it are not read. A From at To or beyond is not checked against the log.
	To      int64
	Bounded bool
	// TopicID is the topic to which From belongs. Zero is not checked.
	TopicID TopicID
}

// Range is the content of a partition at one moment.
type Range struct {
	Start         int64
	HighWatermark int64
	TopicID       TopicID
	// Err is a *MissingError, or the reason why the partition could not be queried. If it
	// is set, the other fields are invalid.
	Err error
}

// warnEvery is the interval at which Offsets logs what it waits for.
const warnEvery = 5 * time.Second

func firstError(ranges []Range) error {
	for _, r := range ranges {
		if r.Err != nil {
			return r.Err
		}
	}
	return nil
}

// retries is for requests about partitions that have no leader.
var retries = backoff.Backoff{First: 10 * time.Millisecond, Last: 500 * time.Millisecond}

// Offsets returns the range of each partition, in the order of parts.
//
//   - If a partition has no leader, it asks again until ctx ends.
//   - If a topic does not exist, it asks again for Config.MissingTimeout, because the
//     brokers learn of a new topic one by one.
//
// The error of a single partition is in its Range.
func (r *Restorer) Offsets(ctx context.Context, parts []Partition) ([]Range, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	var topics kadm.TopicsSet
	for _, p := range parts {
		topics.Add(p.Topic)
	}
	began := time.Now()
	warned := began
	for failures := 1; ; failures++ {
		ranges, err := r.ask(ctx, parts, topics.Topics())
		if ctx.Err() != nil {
			return nil, fmt.Errorf("asking for the offsets of changelogs: %w", errors.Join(ctx.Err(), err))
		}
		if err == nil && settled(ranges, time.Since(began) > r.cfg.MissingTimeout) {
			return ranges, nil
		}
		if err != nil && !kerr.IsRetriable(err) {
			return nil, fmt.Errorf("asking for the offsets of changelogs: %w", err)
		}
		if time.Since(warned) >= warnEvery {
			warned = time.Now()
			r.log.Warn("changelogs cannot be asked for their offsets yet; trying again", "since", began, "error", errors.Join(err, firstError(ranges)))
		}
		if err := retries.Sleep(ctx, failures); err != nil {
			return nil, fmt.Errorf("asking for the offsets of changelogs: %w", err)
		}
	}
}

// TopicIDs returns the IDs of the topics that exist. It returns an error if the client is
// not allowed to describe a topic.
func (r *Restorer) TopicIDs(ctx context.Context, topics ...string) (map[string]TopicID, error) {
	details, err := r.admin.ListTopics(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("asking for topic IDs: %w", err)
	}
	ids := make(map[string]TopicID, len(topics))
	for name, d := range details {
		switch {
		case d.Err == nil:
			ids[name] = d.ID
		case !kerr.IsRetriable(d.Err):
			// a topic without a leader, or one that does not exist, is left out
			return nil, fmt.Errorf("asking for the ID of topic %q: %w", name, d.Err)
		}
	}
	return ids, nil
}

func (r *Restorer) ask(ctx context.Context, parts []Partition, topics []string) ([]Range, error) {
	ids, err := r.TopicIDs(ctx, topics...)
	if err != nil {
		return nil, err
	}
	starts, err := r.admin.ListStartOffsets(ctx, topics...)
	if err != nil && !isShardError(err) {
		return nil, err
	}
	ends, err := r.admin.ListEndOffsets(ctx, topics...)
	if err != nil && !isShardError(err) {
		return nil, err
	}
	ranges := make([]Range, len(parts))
	for i, p := range parts {
		start, known := starts.Lookup(p.Topic, p.Partition)
		end, alsoKnown := ends.Lookup(p.Topic, p.Partition)
		ranges[i] = Range{Start: start.Offset, HighWatermark: end.Offset, TopicID: ids[p.Topic]}
		switch err := errors.Join(start.Err, end.Err); {
		case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
			ranges[i].Err = &MissingError{p.Topic, p.Partition}
		case err != nil:
			ranges[i].Err = fmt.Errorf("changelog %q partition %d: %w", p.Topic, p.Partition, err)
		case !known || !alsoKnown:
			ranges[i].Err = &MissingError{p.Topic, p.Partition}
		}
	}
	return ranges, nil
}

// isShardError reports whether only some brokers failed to answer. The partitions
// concerned then carry the reason.
func isShardError(err error) bool {
	var shards *kadm.ShardErrors
	return errors.As(err, &shards) && !shards.AllFailed
}

// settled reports whether asking again would not help.
func settled(ranges []Range, missingIsFinal bool) bool {
	for _, r := range ranges {
		if errors.Is(r.Err, ErrMissing) && !missingIsFinal || r.Err != nil && kerr.IsRetriable(r.Err) {
			return false
		}
	}
	return true
}
