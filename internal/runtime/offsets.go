package runtime

import (
	"context"
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/inputs"
)

// locate finds where tasks begin to read: at the offsets that the group has committed, or
// where their sources, their last stop, their databases or the operator say. The tasks
// that it returns have to wait.
func (s *Run) locate(tasks []*held) (waiting []*held, err error) {
	ctx, cancel := s.untilGone(tasks)
	defer cancel()
	err = retry(ctx, s.log, "finding where to begin to read", func(ctx context.Context) (err error) {
		waiting, err = s.locateOnce(ctx, tasks)
		return err
	})
	return waiting, err
}

// untilGone returns a context that ends with the run, or when one of the tasks is taken
// away.
func (s *Run) untilGone(tasks []*held) (context.Context, context.CancelFunc) {
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

// locateOnce sets the Inputs of tasks, and commits the offsets at which inputs without
// offsets start. The tasks that it returns have to wait for another process, which may
// have their state on its disk.
func (s *Run) locateOnce(ctx context.Context, tasks []*held) (waiting []*held, err error) {
	standings, err := inputs.Standings(ctx, s.client, s.cfg.ApplicationID, s.inputPartitions(tasks))
	if err != nil {
		return nil, err
	}
	job := locating{session: s, standings: standings, started: map[inputs.Partition]inputs.Start{}}
	if err := job.readStarts(ctx, tasks); err != nil {
		return nil, err
	}
	for _, h := range tasks {
		if err := job.locate(ctx, h); err != nil {
			return nil, err
		}
	}
	if len(job.refused) > 0 {
		return nil, &lostOffsetsError{job.refused, s.cfg.ApplicationID, s.howToReset()}
	}
	return job.waiting, job.commit(ctx)
}

// inputPartitions are the partitions that tasks read, by full topic name.
func (s *Run) inputPartitions(tasks []*held) map[string][]int32 {
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

// outOfRange returns where to read on when the log has no longer, or does not have yet,
// what comes next.
func (s *Run) outOfRange(topic graph.Topic, partition int32, at, start, end int64) (int64, error) {
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

// outOfRangeError says that records between the committed offset and the log were lost,
// which the source does not allow.
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
func (s *Run) sourceOptions(topic graph.Topic) graph.SourceOptions {
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
func (s *Run) topicOf(name string) (graph.Topic, bool) {
	for t := range s.layout.counts {
		if t.In(s.cfg.ApplicationID) == name {
			return t, true
		}
	}
	return graph.Topic{}, false
}
