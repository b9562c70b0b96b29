package runtime

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/resume"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/internal/worker"
)

// locating is one try to find where tasks begin to read. One goroutine uses it.
type locating struct {
	session   *Run
	standings map[inputs.Partition]inputs.Standing

	starts  []txn.OffsetCommit                // to be committed
	started map[inputs.Partition]inputs.Start // to be recorded
	waiting []*held                           // for a process with their state
	refused []lostInput
}

// readStarts reads the start records, if there may be one that this process does not know
// and that matters.
func (l *locating) readStarts(ctx context.Context, tasks []*held) error {
	for _, h := range tasks {
		t := l.session.locatable(h)
		if !t.Leads() {
			continue
		}
		for _, p := range t.Inputs {
			start, found := l.session.records.Started(p)
			if !found || start.TopicID != l.session.topicID(p.Topic) || l.standings[p].Committed < 0 {
				return l.session.records.Read(ctx, l.session.restorer)
			}
		}
	}
	return nil
}

// locate finds where one task begins.
func (l *locating) locate(ctx context.Context, h *held) error {
	s := l.session
	t := s.locatable(h)
	facts := &inputs.Facts{
		Records: s.records, Restorer: s.restorer, ID: s.topicID,
		ByTool: func(metadata string) bool { return !task.IsMetadata(metadata) },
	}
	verdicts, disk, err := facts.Judge(ctx, t, l.standings, s.cfg.Lost)
	if err != nil {
		return fmt.Errorf("task %v: %w", h.id, err)
	}
	if l.waits(h, t, verdicts) {
		return nil
	}
	h.task.Inputs = nil
	if h.run == "" {
		h.run = rand.Text()
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

// waits reports whether the task waits for a process with its state on disk, which may
// still be about to join.
func (l *locating) waits(h *held, t *inputs.Task, verdicts []resume.Verdict) bool {
	left := time.Until(l.session.disksUntil())
	if left <= 0 {
		return false
	}
	for i, v := range verdicts {
		if v.Open() {
			l.session.log.Warn("the committed offset of an input was lost, and the state that this process has on disk is not complete; waiting for a process that has it",
				"task", h.id.String(), "input", t.Inputs[i].String(), "at_most", left)
			l.waiting = append(l.waiting, h)
			return true
		}
	}
	return false
}

// input returns where an input begins.
func (l *locating) input(p inputs.Partition, v resume.Verdict, disk engine.Progress) (worker.Input, error) {
	at := l.standings[p]
	in := worker.Input{Committed: task.Committed{Topic: p.Topic, TopicID: l.session.topicID(p.Topic), Partition: p.Partition}, End: at.LastStable}
	topic, _ := l.session.topicOf(p.Topic)
	latest := l.session.sourceOptions(topic).StartAt == graph.Latest
	switch v.Begin {
	case resume.AtCommitted:
		in.Offset, in.Metadata = at.Committed, at.Metadata
	case resume.AtStop:
		stop, _ := l.session.records.Stopped(p)
		in.Offset, in.Metadata = stop.Offset, stop.Metadata
	case resume.AtDisk:
		for _, have := range disk.Inputs {
			if have.Topic == p.Topic && have.Partition == p.Partition {
				in.Offset, in.Metadata = have.Offset, have.Metadata
			}
		}
	case resume.AtSource:
		in.Offset = at.Start
		if latest {
			in.Offset = at.LastStable
		}
	case resume.AtEarliest:
		in.Offset = at.Start
	case resume.AtLatest:
		in.Offset = at.LastStable
	}
	// The offset may lie between the last stable offset and the end: a tool may have set
	// it beyond open transactions.
	if in.Offset < at.Start || in.Offset > at.End {
		var err error
		if in.Offset, err = l.session.outOfRange(topic, p.Partition, in.Offset, at.Start, at.End); err != nil {
			return worker.Input{}, err
		}
	}
	l.tell(p, v, in.Offset)
	return in, nil
}

// tell logs what became of an offset that was lost.
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
		what += "the task goes on where it was stopped, and nothing was processed since"
	case resume.AtDisk:
		what += "the state on disk is complete, so the task goes on at the offset that is kept with it"
	case resume.AtSource:
		what += "nothing that was made from it is left, so the task begins where the source says"
	default:
		what += "the task begins where the configuration says, on top of the state that was made from it before"
	}
	l.session.log.Warn(what, "topic", p.Topic, "partition", p.Partition, "offset", offset)
}

// note notes what has to be committed and recorded before the task may process a record.
func (l *locating) note(h *held, leads bool, v resume.Verdict, in worker.Input) {
	if v.Begin != resume.AtCommitted {
		l.starts = append(l.starts, txn.OffsetCommit{
			Topic: in.Topic, TopicID: in.TopicID, Partition: in.Partition, Offset: in.Offset, LeaderEpoch: -1, Metadata: in.Metadata,
		})
	}
	p, start := inputs.Partition{Topic: in.Topic, Partition: in.Partition}, inputs.Start{TopicID: in.TopicID, Run: h.run}
	if had, _ := l.session.records.Started(p); leads && had != start {
		l.started[p] = start
	}
}

// notMemberError says that the group does not take the offsets at which tasks start from
// this process. It passes: the group will say whose the tasks are.
type notMemberError struct{ error }

func (e notMemberError) Error() string {
	return "the group does not take the offsets at which tasks start from this process: " + e.error.Error()
}

func (e notMemberError) Unwrap() error { return e.error }

// Transient implements what package transient looks for.
func (notMemberError) Transient() bool { return true }

// commit commits and records where inputs start.
func (l *locating) commit(ctx context.Context) error {
	s := l.session
	if len(l.starts) > 0 {
		err := txn.CommitOffsets(ctx, s.client, s.cfg.ApplicationID, s.identity(), l.starts)
		if txn.Fences(err) || errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, txn.ErrNoIdentity) {
			return notMemberError{err}
		}
		if err != nil {
			return fmt.Errorf("committing where inputs start: %w", err)
		}
	}
	if len(l.started) == 0 {
		return nil
	}
	return s.records.WriteStarts(ctx, s.client, l.started)
}

// locatable describes a task to those who judge where it begins.
func (s *Run) locatable(h *held) *inputs.Task {
	sub := s.graph.SubTopologies[h.id.SubTopology]
	t := &inputs.Task{Partition: h.id.Partition, Progress: func() (engine.Progress, bool, error) { return s.progress(h) }}
	for _, topic := range sub.Sources {
		if h.id.Partition < s.layout.counts[topic] {
			t.Inputs = append(t.Inputs, inputs.Partition{Topic: topic.In(s.cfg.ApplicationID), Partition: h.id.Partition})
		}
	}
	for _, store := range sub.Stores {
		switch {
		case store.Spec.Logged():
			t.Changelogs = append(t.Changelogs, store.Spec.ChangelogTopic(s.cfg.ApplicationID))
		case store.Spec.Persistent():
			t.Local = true
		}
	}
	t.Downstream = s.downstream(sub.ID, map[int]bool{})
	return t
}

// downstream returns the repartition topics and the changelogs behind a sub-topology, in
// all partitions. Repartition topics that lead to no store are left out.
func (s *Run) downstream(sub int, seen map[int]bool) (parts []restore.Partition) {
	if seen[sub] {
		return nil
	}
	seen[sub] = true
	for _, r := range s.graph.Repartitions {
		if r.From != sub {
			continue
		}
		behind := s.downstream(r.To, seen)
		for _, store := range s.graph.SubTopologies[r.To].Stores {
			if store.Spec.Logged() {
				behind = append(behind, partitionsOf(store.Spec.ChangelogTopic(s.cfg.ApplicationID), s.layout.tasks(r.To))...)
			}
		}
		if len(behind) > 0 {
			parts = append(append(parts, partitionsOf(r.Topic.In(s.cfg.ApplicationID), s.layout.counts[r.Topic])...), behind...)
		}
	}
	return parts
}

func partitionsOf(topic string, n int32) []restore.Partition {
	parts := make([]restore.Partition, n)
	for i := range parts {
		parts[i] = restore.Partition{Topic: topic, Partition: int32(i), From: -1}
	}
	return parts
}

// progress returns what the task's database has, and opens it for that.
func (s *Run) progress(h *held) (engine.Progress, bool, error) {
	if _, err := s.openTask(h); err != nil || h.task.DB == nil {
		return engine.Progress{}, false, err
	}
	return h.task.DB.Progress()
}

func (s *Run) topicID(topic string) inputs.TopicID {
	known, _ := s.topics.lookup(topic)
	return known.ID
}

// disksUntil is until when tasks wait for processes with their state on disk: a process
// that was started together with this one has joined by then.
func (s *Run) disksUntil() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.joinedAt.Add(s.cfg.SessionTimeout)
}

// awaitDisks tries to start tasks again when the time for others to join is over, unless
// the tasks were taken away.
func (s *Run) awaitDisks(tasks []*held) {
	s.starters.Go(func() {
		ctx, cancel := s.untilGone(tasks)
		// withoutGone sees why the wait ended.
		_ = backoff.Sleep(ctx, time.Until(s.disksUntil()))
		cancel()
		if left := s.withoutGone(tasks); len(left) > 0 {
			s.restore(left)
		}
	})
}

// lostInput is an input whose committed offset was lost.
type lostInput struct {
	inputs.Partition
	task string
	loss resume.Loss
}

// lostOffsetsError says that tasks cannot be started without counting records twice, or
// leaving some out.
type lostOffsetsError struct {
	lost  []lostInput
	group string
	reset string
}

func (e *lostOffsetsError) Error() string {
	var lost, recreated []string
	for _, in := range e.lost {
		name := fmt.Sprintf("%v (task %s)", in.Partition, in.task)
		if in.loss == resume.Recreated {
			recreated = append(recreated, name)
		} else {
			lost = append(lost, name)
		}
	}
	tool := fmt.Sprintf("set the offsets with kafka-consumer-groups.sh --group %s --topic <topic>:<partition> --reset-offsets --to-offset <offset> --execute", e.group)
	var parts []string
	if len(lost) > 0 {
		parts = append(parts, fmt.Sprintf("group %s has lost its committed offsets of %s: they expired or were deleted, while the state that was made from these inputs is "+
			"still there. Reading from the start, records would be counted twice; from the end, some would be left out. Start the process whose disk has the state, "+
			"or set Config.LostOffsets to RestartEarliest or RestartLatest for one start, or %s", e.group, strings.Join(lost, ", "), tool))
	}
	if len(recreated) > 0 {
		parts = append(parts, fmt.Sprintf("the topics of %s were deleted and created again, while the state that was made from the former ones is still there. "+
			"To go on with that state and the new records, set Config.RecreatedInputs to RestartEarliest or RestartLatest, or %s", strings.Join(recreated, ", "), tool))
	}
	return strings.Join(parts, "\n") + "\nOr, to count from the beginning, " + e.reset
}
