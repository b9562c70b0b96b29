package millrace

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/worker"
)

// locate finds where tasks begin to read: at the offsets that the group has committed, or where their sources say.
func (s *session) locate(tasks []*held) error {
	ctx, cancel := s.untilGone(tasks)
	defer cancel()
	return retry(ctx, s.log, "reading committed offsets", func(ctx context.Context) error { return s.locateOnce(ctx, tasks) })
}

// untilGone returns a context that ends with the run, or when one of the tasks is taken away.
func (s *session) untilGone(tasks []*held) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(s.soft)
	var stops []func() bool
	for _, h := range tasks {
		stops = append(stops, context.AfterFunc(h.ctx, cancel))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}

func (s *session) locateOnce(ctx context.Context, tasks []*held) error {
	names := s.inputTopics(tasks)
	admin := kadm.NewClient(s.client)
	// The starts come before the committed offsets: should somebody else have the tasks meanwhile, what is purged behind its commits must not look like a loss.
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return err
	}
	committed, err := s.committedOffsets(ctx, s.inputPartitions(tasks))
	if err != nil {
		return err
	}
	ends, err := admin.ListCommittedOffsets(ctx, names...)
	if err != nil {
		return err
	}
	tops, err := admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return err
	}
	for _, h := range tasks {
		h.task.Inputs = nil
		for _, topic := range s.graph.SubTopologies[h.id.SubTopology].Sources {
			if h.id.Partition >= s.layout.counts[topic] {
				continue
			}
			in, err := s.input(topic, h.id.Partition, committed, starts, ends, tops)
			if err != nil {
				return err
			}
			h.task.Inputs = append(h.task.Inputs, in)
		}
	}
	return nil
}

// committedOffsets asks for the committed offsets of partitions, by topic, and gets an error while transactions with offsets of them have not ended. The
// request has to name the partitions: asked for all that a group has, a broker leaves those out of which it has such offsets only.
func (s *session) committedOffsets(ctx context.Context, asked map[string][]int32) (kadm.OffsetResponses, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group, req.RequireStable = s.cfg.ApplicationID, true
	for name, partitions := range asked {
		topic := kmsg.NewOffsetFetchRequestTopic()
		topic.Topic, topic.Partitions = name, partitions
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	committed := kadm.OffsetResponses{}
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

// inputPartitions are the partitions that tasks read, by full topic name.
func (s *session) inputPartitions(tasks []*held) map[string][]int32 {
	partitions := map[string][]int32{}
	for _, h := range tasks {
		for _, topic := range s.graph.SubTopologies[h.id.SubTopology].Sources {
			if name := topic.In(s.cfg.ApplicationID); h.id.Partition < s.layout.counts[topic] {
				partitions[name] = append(partitions[name], h.id.Partition)
			}
		}
	}
	return partitions
}

func (s *session) inputTopics(tasks []*held) []string {
	var names []string
	seen := map[int32]bool{}
	for _, h := range tasks {
		if seen[h.id.SubTopology] {
			continue
		}
		seen[h.id.SubTopology] = true
		for _, topic := range s.graph.SubTopologies[h.id.SubTopology].Sources {
			names = append(names, topic.In(s.cfg.ApplicationID))
		}
	}
	return names
}

func (s *session) input(topic graph.Topic, partition int32, committed kadm.OffsetResponses, starts, ends, tops kadm.ListedOffsets) (worker.Input, error) {
	name := topic.In(s.cfg.ApplicationID)
	at, ok := committed.Lookup(name, partition)
	if !ok {
		at.At = -1
	}
	start, found := starts.Lookup(name, partition)
	end, alsoFound := ends.Lookup(name, partition)
	top, _ := tops.Lookup(name, partition)
	if err := errors.Join(at.Err, start.Err, end.Err, top.Err); err != nil {
		return worker.Input{}, fmt.Errorf("offsets of %s/%d: %w", name, partition, err)
	}
	if !found || !alsoFound {
		return worker.Input{}, fmt.Errorf("offsets of %s/%d: %w", name, partition, kerr.UnknownTopicOrPartition)
	}
	in := worker.Input{Committed: task.Committed{Topic: name, Partition: partition, Offset: at.At, Metadata: at.Metadata}, End: end.Offset}
	opts := s.sourceOptions(topic)
	switch {
	case at.At < 0 && opts.StartAt == graph.Latest:
		in.Offset, in.Fresh = end.Offset, true
	case at.At < 0:
		in.Offset = start.Offset
	case at.At < start.Offset || at.At > top.Offset: // a tool may have set it beyond open transactions
		var err error
		if in.Offset, err = s.outOfRange(topic, partition, at.At, start.Offset, top.Offset); err != nil {
			return worker.Input{}, err
		}
	}
	return in, nil
}

// outOfRange returns where to read on when the log has no longer, or does not have yet, what comes next.
func (s *session) outOfRange(topic graph.Topic, partition int32, at, start, end int64) (int64, error) {
	name := topic.In(s.cfg.ApplicationID)
	switch s.sourceOptions(topic).OutOfRange {
	case graph.OutOfRangeEarliest:
		s.log.Warn("the next record is not in the log; going on at its start", "topic", name, "partition", partition, "offset", at, "start", start, "end", end)
		return start, nil
	case graph.OutOfRangeLatest:
		s.log.Warn("the next record is not in the log; going on at its end", "topic", name, "partition", partition, "offset", at, "start", start, "end", end)
		return end, nil
	}
	return 0, &outOfRangeError{name, partition, at, start, end, s.cfg.ApplicationID}
}

// outOfRangeError says that records between the committed offset and the log were lost, which the source does not allow.
type outOfRangeError struct {
	topic          string
	partition      int32
	at, start, end int64
	group          string
}

func (e *outOfRangeError) Error() string {
	return fmt.Sprintf("group %s has committed offset %d of %s/%d, but the log has offsets %d to %d: records were deleted before they were processed, or the topic was "+
		"made again. Say where to go on with the source's option topology.OutOfRange, or reset the group's offsets", e.group, e.at, e.topic, e.partition, e.start, e.end)
}

// sourceOptions are those of the source that reads a topic.
func (s *session) sourceOptions(topic graph.Topic) graph.SourceOptions {
	for _, n := range s.graph.Nodes {
		for _, t := range n.Topics {
			if t == topic {
				return n.SourceOpts
			}
		}
	}
	return graph.SourceOptions{}
}

// topicOf finds a topic of the topology by its full name.
func (s *session) topicOf(name string) (graph.Topic, bool) {
	for t := range s.layout.counts {
		if t.In(s.cfg.ApplicationID) == name {
			return t, true
		}
	}
	return graph.Topic{}, false
}
