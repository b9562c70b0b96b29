package runtime

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/inputs"
)

// stopTimeout bounds how long ended tasks wait for their stop records. Without a record,
// a task continues at its committed offsets, or at those on its disk.
const stopTimeout = 2 * time.Second

// stops records where tasks were stopped, in case the group loses their offsets.
type stops struct {
	*life
	client  *kgo.Client
	records *inputs.Records
	ran     func(*held) bool
}

// record records where ended tasks were stopped.
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
	select { // the client may hold a sent record longer than ctx
	case err = <-written:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		s.log.Warn("could not record where tasks were stopped; the records would be needed if the group's offsets expired", "error", err)
	}
}

// add adds the stops of a task, unless the task may have uncommitted work, or another
// task has started to read its inputs.
func (s *stops) add(stops map[inputs.Partition]inputs.Stop, h *held) {
	select {
	case <-h.done:
	default: // stuck: its worker still has it
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
