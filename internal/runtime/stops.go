package runtime

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/inputs"
)

// stopTimeout bounds how long tasks that have ended wait for their stop records. Without
// a record, a task goes on at its committed offsets, or at those on its disk.
const stopTimeout = 2 * time.Second

// stops records where tasks were stopped, for the case that the group forgets it.
type stops struct {
	*life
	client  *kgo.Client
	records *inputs.Records
	ran     func(*held) bool
}

// record records where tasks that have ended were stopped.
func (s *stops) record(tasks []*held) {
	stops := map[inputs.Partition]inputs.Stop{}
	for _, h := range tasks {
		s.add(stops, h)
	}
	if len(stops) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(s.hard, stopTimeout)
	defer cancel()
	written := make(chan error, 1)
	go func() { written <- s.records.WriteStops(ctx, s.client, stops) }()
	var err error
	select { // the client may hold a record that is on its way for longer than ctx lasts
	case err = <-written:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.log.Warn("recording where tasks were stopped; it would be needed if the group's offsets expired", "error", err)
	}
}

// add adds the stops of a task, unless it may have done something that is not committed,
// or another task has started to read its inputs.
func (s *stops) add(stops map[inputs.Partition]inputs.Stop, h *held) {
	select {
	case <-h.done:
	default: // stuck, so its worker still has it
		return
	}
	if s.ran(h) && !h.task.Rested {
		return
	}
	for _, in := range h.task.Inputs {
		p := inputs.Partition{Topic: in.Topic, Partition: in.Partition}
		if start, found := s.records.Started(p); found && start.Run == h.run {
			stops[p] = inputs.Stop{Start: start, Offset: in.Offset, Metadata: in.Metadata}
		}
	}
}
