package inputs

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Standing is the position of a group in a partition.
type Standing struct {
	Start      int64 // first offset of the log
	LastStable int64 // end of what is decided
	End        int64 // high watermark

	Committed int64 // -1 if there is no committed offset
	Metadata  string
}

// Standings returns the positions of a group in partitions. While transactions with
// offsets of these partitions are open, it returns a transient error
// (UNSTABLE_OFFSET_COMMIT).
func Standings(ctx context.Context, cl *kgo.Client, group string, partitions map[string][]int32) (map[Partition]Standing, error) {
	names := make([]string, 0, len(partitions))
	for name := range partitions {
		names = append(names, name)
	}
	admin := kadm.NewClient(cl)
	// Start offsets are read before committed offsets. Otherwise, records that another
	// process commits and purges meanwhile would look like a loss.
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	committed, err := Committed(ctx, cl, group, partitions)
	if err != nil {
		return nil, err
	}
	stable, err := admin.ListCommittedOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return nil, err
	}
	standings := map[Partition]Standing{}
	for topic, ps := range partitions {
		for _, p := range ps {
			at, ok := committed.Lookup(topic, p)
			if !ok {
				at.At = -1
			}
			start, found := starts.Lookup(topic, p)
			last, alsoFound := stable.Lookup(topic, p)
			end, _ := ends.Lookup(topic, p)
			if err := errors.Join(at.Err, start.Err, last.Err, end.Err); err != nil {
				return nil, fmt.Errorf("offsets of %s/%d: %w", topic, p, err)
			}
			if !found || !alsoFound {
				return nil, fmt.Errorf("offsets of %s/%d: %w", topic, p, kerr.UnknownTopicOrPartition)
			}
			standings[Partition{topic, p}] = Standing{
				Start: start.Offset, LastStable: last.Offset, End: end.Offset, Committed: at.At, Metadata: at.Metadata,
			}
		}
	}
	return standings, nil
}

// Committed returns the committed offsets of partitions. A group that does not exist has
// none. While transactions with offsets of them are open, it returns an error. The
// request has to name the partitions: if it asks for all offsets of a group, a broker
// omits partitions that have only such offsets.
func Committed(ctx context.Context, cl *kgo.Client, group string, partitions map[string][]int32) (kadm.OffsetResponses, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = group, true
	for name, ps := range partitions {
		topic := kmsg.NewOffsetFetchRequestTopic()
		topic.Topic, topic.Partitions = name, ps
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	committed := kadm.OffsetResponses{}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		if errors.Is(err, kerr.GroupIDNotFound) {
			err = nil
		}
		return committed, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
			}
			at := kadm.Offset{Topic: t.Topic, Partition: p.Partition, At: p.Offset, LeaderEpoch: p.LeaderEpoch}
			if p.Metadata != nil {
				at.Metadata = *p.Metadata
			}
			committed.Add(kadm.OffsetResponse{Offset: at})
		}
	}
	return committed, nil
}
