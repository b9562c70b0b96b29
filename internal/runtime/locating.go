package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/resume"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/internal/worker"
)

// locating is one try to find where tasks start to read. Only one goroutine uses it.
type locating struct {
	*locator
	standings map[inputs.Partition]inputs.Standing

	starts  []txn.OffsetCommit                // offsets to commit
	started map[inputs.Partition]inputs.Start // start records to write
	// Tasks that wait for a process with their state.
	waiting []*held
	refused []lostInput
}

// readStarts reads the start records, if there may be a relevant one that this process
// does not know.
func (l *locating) readStarts(ctx context.Context, tasks []*held) error {
	for _, h := range tasks {
		t := l.locatable(h)
		if !t.Leads() {
			continue
		}
		for _, p := range t.Inputs {
			start, found := l.records.Started(p)
			if !found || start.TopicID != l.catalogue.id(p.Topic) || l.standings[p].Committed < 0 {
				return l.records.Read(ctx, l.restorer)
			}
		}
	}
	return nil
}

// locateTask finds where one task starts.
func (l *locating) locateTask(ctx context.Context, h *held) error {
	t := l.locatable(h)
	verdicts, disk, err := l.judge(ctx, h, t, l.standings)
	if err != nil {
		return err
	}
	if l.waits(h, t, verdicts) {
		return nil
	}
	if disk, err = l.withTimes(h, t, verdicts, disk); err != nil {
		return err
	}
	h.task.Inputs = nil
	if h.run == "" {
		h.run = newRun()
	}
	for i, p := range t.Inputs {
		if verdicts[i].Begin == resume.Refused {
			l.refused = append(l.refused, lostInput{p, h.id.String(), verdicts[i].Loss})
			continue
		}
		in, err := l.input(p, verdicts[i], disk)
		if err != nil {
			return err
		}
		h.task.Inputs = append(h.task.Inputs, in)
		l.note(h, t.Leads(), verdicts[i], in)
	}
	return nil
}

// waits reports whether the task waits for a process that has its state on disk and may
// not have joined yet.
func (l *locating) waits(h *held, t *inputs.Task, verdicts []resume.Verdict) bool {
	left := time.Until(l.disksUntil())
	if left <= 0 {
		return false
	}
	for i, v := range verdicts {
		if v.Open() {
			l.log.Warn("the committed offset of an input was lost, and the state on this disk is not complete; waiting for a process that has it",
				"task", h.id.String(), "input", t.Inputs[i].String(), "at_most", left)
			l.waiting = append(l.waiting, h)
			return true
		}
	}
	return false
}

// input returns where an input starts.
func (l *locating) input(p inputs.Partition, v resume.Verdict, disk engine.Progress) (worker.Input, error) {
	at := l.standings[p]
	in := worker.Input{Committed: task.Committed{Topic: p.Topic, TopicID: l.catalogue.id(p.Topic), Mark: l.catalogue.mark(p.Topic), Partition: p.Partition}, End: at.LastStable}
	topic, _ := l.plan.topic(p.Topic)
	switch v.Begin {
	case resume.AtCommitted:
		in.Offset, in.Metadata = at.Committed, l.metadata(p, at.Metadata)
		in.Earlier = l.onDisk(disk, p).Metadata
	case resume.AtStop:
		stop, _ := l.records.Stopped(p)
		in.Offset, in.Metadata = stop.Offset, stop.Metadata
	case resume.AtDisk:
		have := l.onDisk(disk, p)
		in.Offset, in.Metadata = have.Offset, have.Metadata
	case resume.AtSource:
		in.Offset, in.Metadata = at.Start, task.NoTimes(in.Mark)
		if l.plan.source(topic).StartAt == graph.Latest && !l.appeared(p) {
			in.Offset = at.LastStable
		}
	case resume.AtEarliest:
		in.Offset = at.Start
	case resume.AtLatest:
		in.Offset = at.LastStable
	}
	// The offset may lie between the last stable offset and the end, because a tool may
	// have set it beyond open transactions.
	if in.Offset < at.Start || in.Offset > at.End {
		var err error
		if in.Offset, err = l.plan.outOfRange(l.log, topic, p.Partition, in.Offset, at.Start, at.End); err != nil {
			return worker.Input{}, err
		}
	}
	l.tell(p, v, in.Offset)
	return in, nil
}

// withTimes returns the progress of the task's database if the metadata of a committed
// offset are missing. Otherwise it returns disk.
func (l *locating) withTimes(h *held, t *inputs.Task, verdicts []resume.Verdict, disk engine.Progress) (engine.Progress, error) {
	for i, p := range t.Inputs {
		if verdicts[i].Begin == resume.AtCommitted && len(disk.Inputs) == 0 && !task.IsMetadata(l.metadata(p, l.standings[p].Metadata)) {
			progress, _, err := l.progress(h)
			return progress, err
		}
	}
	return disk, nil
}

// onDisk returns an input's progress in a database, the zero value if it has none. A zero
// topic ID is unknown.
func (l *locating) onDisk(disk engine.Progress, p inputs.Partition) engine.InputProgress {
	for _, have := range disk.Inputs {
		id := inputs.TopicID(have.TopicID)
		if have.Topic == p.Topic && have.Partition == p.Partition && (id == inputs.TopicID{} || id == l.catalogue.id(p.Topic)) {
			return have
		}
	}
	return engine.InputProgress{}
}

// metadata returns the metadata of a committed offset. If a tool has set the offset, it
// has removed the metadata. metadata then returns the metadata of the stop record, so
// that times do not go back, wherever the input starts.
func (l *locating) metadata(p inputs.Partition, committed string) string {
	if task.IsMetadata(committed) {
		return committed
	}
	if stop, found := l.records.Stopped(p); found && stop.TopicID == l.catalogue.id(p.Topic) {
		return stop.Metadata
	}
	return committed
}

// tell logs how a lost offset was replaced.
func (l *locating) tell(p inputs.Partition, v resume.Verdict, offset int64) {
	if v.Loss == resume.NotLost {
		return
	}
	what := "the committed offset of an input was lost; "
	if v.Loss == resume.Recreated {
		what = "an input topic was deleted and created again; "
	}
	switch v.Begin {
	case resume.AtStop:
		what += "the task continues where it was stopped; nothing was processed since then"
	case resume.AtDisk:
		what += "the state on disk is complete, so the task continues at the offset stored with it"
	case resume.AtSource:
		what += "no state made from it is left, so the task starts where the source says"
	default:
		what += "the task starts where the configuration says, and keeps the state that was made from it"
	}
	l.log.Warn(what, "topic", p.Topic, "partition", p.Partition, "offset", offset)
}

// note collects what must be committed and recorded before the task may process a record.
func (l *locating) note(h *held, leads bool, v resume.Verdict, in worker.Input) {
	p, start := inputs.Partition{Topic: in.Topic, Partition: in.Partition}, inputs.Start{TopicID: in.TopicID, Run: h.run}
	// The start record, too, ends the validity of a stop record, which may have had the
	// metadata.
	if v.Begin != resume.AtCommitted || in.Metadata != l.standings[p].Metadata {
		l.starts = append(l.starts, txn.OffsetCommit{
			Topic: in.Topic, TopicID: in.TopicID, Partition: in.Partition, Offset: in.Offset, LeaderEpoch: -1, Metadata: in.Metadata,
		})
	}
	if had, _ := l.records.Started(p); leads && had != start {
		l.started[p] = start
	}
}

// notMemberError says that the group refuses the start offsets of this process. It is
// transient: the group will say which process has the tasks.
type notMemberError struct{ error }

func (e notMemberError) Error() string {
	return "the group refuses the start offsets of tasks from this process: " + e.error.Error()
}

func (e notMemberError) Unwrap() error { return e.error }

// Transient marks the error for package transient.
func (notMemberError) Transient() bool { return true }

// commit commits and records the start offsets of inputs.
func (l *locating) commit(ctx context.Context) error {
	if len(l.starts) > 0 {
		err := txn.CommitOffsets(ctx, l.client, l.plan.application, l.identity(), l.starts)
		if txn.Fences(err) || errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, txn.ErrNoIdentity) {
			return notMemberError{err}
		}
		if err != nil {
			return fmt.Errorf("commit the start offsets of inputs: %w", err)
		}
	}
	if len(l.started) == 0 {
		return nil
	}
	return l.records.WriteStarts(ctx, l.client, l.started)
}
