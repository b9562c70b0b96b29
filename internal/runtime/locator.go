package runtime

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/resume"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/txn"
)

// locator finds where tasks start to read: at the offsets that the group has committed,
// or where their sources, their last stop, their databases or the operator say.
type locator struct {
	*life
	client    *kgo.Client
	plan      *plan
	catalogue *catalogue
	restorer  *restore.Restorer
	records   *inputs.Records
	identity  func() txn.Identity // the identity for committing offsets
	policy    resume.Policy       // the operator's choices
	reset     string              // the advice about a reset, for errors

	// open opens a task's database, if it has one.
	open func(*held) error
	// appeared reports whether an input has come to the pattern of its source since the
	// application began to read by it.
	appeared func(inputs.Partition) bool
	// joined returns the time of the first assignment. For patience after that, tasks
	// wait for processes that may have their state on disk. A process that was started
	// together with this one has joined by then.
	joined   func() time.Time
	patience time.Duration
}

// locate sets the Inputs of tasks. If an input has no offset, locate commits its start
// offset. The returned tasks have to wait for another process, which may have their state
// on its disk.
func (l *locator) locate(ctx context.Context, tasks []*held) (waiting []*held, err error) {
	err = l.retry(ctx, "finding where to begin to read", func(ctx context.Context) (err error) {
		waiting, err = l.locateOnce(ctx, tasks)
		return err
	})
	return waiting, err
}

func (l *locator) locateOnce(ctx context.Context, tasks []*held) (waiting []*held, err error) {
	standings, err := inputs.Standings(ctx, l.client, l.plan.application, l.inputsOf(tasks))
	if err != nil {
		return nil, err
	}
	try := &locating{locator: l, standings: standings, started: map[inputs.Partition]inputs.Start{}}
	if err := try.readStarts(ctx, tasks); err != nil {
		return nil, err
	}
	for _, h := range tasks {
		if err := try.locateTask(ctx, h); err != nil {
			return nil, err
		}
	}
	if len(try.refused) > 0 {
		return nil, &lostOffsetsError{try.refused, l.plan.application, l.reset}
	}
	return try.waiting, try.commit(ctx)
}

// inputsOf returns the partitions that tasks read, by topic.
func (l *locator) inputsOf(tasks []*held) map[string][]int32 {
	partitions := map[string][]int32{}
	for _, h := range tasks {
		for _, in := range l.plan.inputs(h.id) {
			partitions[in.Topic] = append(partitions[in.Topic], in.Partition)
		}
	}
	return partitions
}

// disksUntil returns how long tasks wait for processes with their state on disk.
func (l *locator) disksUntil() time.Time { return l.joined().Add(l.patience) }

// locatable describes a task for package inputs.
func (l *locator) locatable(h *held) *inputs.Task {
	sub := l.plan.sub(h.id)
	t := &inputs.Task{
		Partition: h.id.Partition, Inputs: l.plan.inputs(h.id), Downstream: l.plan.downstream(sub.ID),
		Progress: func() (engine.Progress, bool, error) { return l.progress(h) },
	}
	for _, kept := range sub.Stores {
		switch {
		case kept.FromTopic != nil: // restored up to any offset, from the topic
		case kept.Spec.Logged():
			t.Changelogs = append(t.Changelogs, l.plan.changelog(kept.Spec))
		case kept.Spec.Persistent():
			t.Local = true
		}
	}
	return t
}

// progress returns the progress in the task's database, and opens the database for that.
func (l *locator) progress(h *held) (engine.Progress, bool, error) {
	if err := l.open(h); err != nil || h.task.DB == nil {
		return engine.Progress{}, false, err
	}
	return h.task.DB.Progress()
}

// judge returns where the inputs of a task start, and the progress of the database that
// decides.
func (l *locator) judge(ctx context.Context, h *held, t *inputs.Task, s map[inputs.Partition]inputs.Standing) ([]resume.Verdict, engine.Progress, error) {
	facts := &inputs.Facts{
		Records: l.records, Restorer: l.restorer, ID: l.catalogue.id,
		ByTool:   func(metadata string) bool { return !task.IsMetadata(metadata) },
		Outdated: func(topic, metadata string) bool { return l.catalogue.mark(topic).Outdates(metadata) },
	}
	verdicts, disk, err := facts.Judge(ctx, t, s, l.policy)
	if err != nil {
		return nil, engine.Progress{}, fmt.Errorf("task %v: %w", h.id, err)
	}
	return verdicts, disk, nil
}

// publishDisks publishes the progress of this disk's tasks that have lost a committed
// offset. The group may give such a task to another process. That process then restores
// the state from the changelogs and continues at the offsets of this disk.
func (l *locator) publishDisks(ctx context.Context, process string, databases map[taskid.ID]engine.Progress) error {
	asked, disks := map[string][]int32{}, map[inputs.Partition]engine.Progress{}
	for id, progress := range databases {
		read := l.plan.inputs(id)
		if len(read) == 0 {
			continue
		}
		disks[read[0]] = progress
		for _, in := range read {
			asked[in.Topic] = append(asked[in.Topic], in.Partition)
		}
	}
	if len(disks) == 0 {
		return nil
	}
	committed, err := inputs.Committed(ctx, l.client, l.plan.application, asked)
	if err != nil {
		return err
	}
	if err := l.records.Read(ctx, l.restorer); err != nil {
		return err
	}
	for first, progress := range disks {
		if !lacksOffset(committed, progress) {
			delete(disks, first)
		}
	}
	return l.records.Publish(ctx, l.client, process, disks)
}

// outOfRange returns where to read on if the log, which has the offsets from start to
// end, does not have the next record.
func (p *plan) outOfRange(log *slog.Logger, topic graph.Topic, partition int32, at, start, end int64) (int64, error) {
	name := p.name(topic)
	switch p.source(topic).OutOfRange {
	case graph.OutOfRangeEarliest:
		log.Warn("the next record is not in the log; continuing at the start of the log", "topic", name, "partition", partition, "offset", at, "start", start, "end", end)
		return start, nil
	case graph.OutOfRangeLatest:
		log.Warn("the next record is not in the log; continuing at the end of the log", "topic", name, "partition", partition, "offset", at, "start", start, "end", end)
		return end, nil
	}
	return 0, &outOfRangeError{name, partition, at, start, end, p.application}
}

// newRun names one start of a task in the records of starts and stops.
func newRun() string { return rand.Text() }
