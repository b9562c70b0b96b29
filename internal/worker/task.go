package worker

import (
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/processor"
)

// Task is a task that this process holds. One goroutine at a time owns it: the host's
// while the task is restored, its worker's while it runs.
type Task struct {
	ID     taskid.ID
	Info   processor.Task // as user code knows it
	DB     *engine.DB     // nil without stores
	Budget *engine.Budget
	Memory *task.Memory

	// Inputs are the input partitions with their last commits. The host sets them before
	// each Adopt. The worker updates them at each commit.
	Inputs []Input

	// Changelogs are the topics of the task's changelogs. In each of them the task has
	// the partition of its own number.
	Changelogs []string

	// Rested reports that the worker dropped the task right after a commit: no record was
	// processed beyond Inputs. The worker sets it before it calls Host.Dropped.
	Rested bool

	run   *task.Task
	feeds []*Feed // in the order of Inputs
	begun []task.Offset

	careful    bool  // one record per call, to find the record that takes too long
	records    int64 // processed since the last commit
	lastCommit time.Time
	settled    bool // the last commit, with its offsets, has succeeded
}

// Input is an input partition of a Task.
type Input struct {
	task.Committed
	// Fresh reports that the group has no offset, and would not find this one again.
	Fresh bool
	// End is the last stable offset when the task started.
	End int64
}

// Status is what a running task was doing when it was asked.
type Status struct {
	ID         taskid.ID
	LastCommit time.Time
	Inputs     []InputStatus

	// Expired holds, by topic of a windowed changelog, the offset up to which its records
	// are no longer needed. It is nil before the first commit.
	Expired map[string]int64
}

// InputStatus is one partition of a Status.
type InputStatus struct {
	Topic           string
	Partition       int32
	Committed       int64
	End             int64
	BufferedRecords int
	BufferedBytes   int64
	Paused          bool
}

func (t *Task) status() Status {
	s := Status{ID: t.ID, LastCommit: t.lastCommit}
	if t.settled {
		s.Expired = t.run.Expired()
	}
	for i, in := range t.Inputs {
		feed := t.feeds[i]
		records, _ := t.run.Buffered(in.Topic, in.Partition)
		s.Inputs = append(s.Inputs, InputStatus{
			Topic: in.Topic, Partition: in.Partition, Committed: in.Offset, End: max(in.End, feed.End()),
			BufferedRecords: records, BufferedBytes: feed.Size(), Paused: feed.Paused(),
		})
	}
	return s
}

// feed returns the index of the input that f feeds. It returns -1 if the task no longer
// reads f.
func (t *Task) feed(f *Feed) int {
	for i, feed := range t.feeds {
		if feed == f {
			return i
		}
	}
	return -1
}

// take passes fetched records to the task.
func (t *Task) take(b *batch) error {
	topic, partition := b.feed.Topic, b.feed.Partition
	if len(b.inputs) > 0 {
		if err := t.run.Add(topic, partition, b.inputs, b.bytes); err != nil {
			b.feed.drained(b.bytes)
			return err
		}
	}
	if b.next >= 0 {
		t.run.SetPosition(topic, partition, b.next)
	}
	t.run.SetEnd(topic, partition, b.end)
	_, held := t.run.Buffered(topic, partition)
	b.feed.taken(b.bytes, held)
	return nil
}

// settle tells the fetcher how much the task holds, and for which partitions it waits.
func (t *Task) settle() {
	waiting := t.run.Waiting()
	for _, feed := range t.feeds {
		_, held := t.run.Buffered(feed.Topic, feed.Partition)
		waited := false
		for _, w := range waiting {
			waited = waited || w.Topic == feed.Topic && w.Partition == feed.Partition
		}
		feed.settle(held, waited)
		feed.fetcher.setQuiet(feed, t.run.Quiet(feed.Topic, feed.Partition))
	}
}

// close closes the running task. Its uncommitted work is lost.
func (t *Task) close() error {
	for i, feed := range t.feeds {
		// Keep the largest End seen, so that a replay waits for the same partitions as
		// the first pass.
		t.Inputs[i].End = max(t.Inputs[i].End, feed.End())
		feed.close()
	}
	// Under at-least-once, the local state may now be ahead of the offsets. Changelog
	// records of rows that it has deleted may be needed when the input is read again.
	t.settled = false
	t.feeds, t.begun, t.records = nil, nil, 0
	if t.run == nil {
		return nil
	}
	run := t.run
	t.run = nil
	return run.Close()
}

// committed sets the inputs to the offsets of the commit.
func (t *Task) committed(now time.Time) {
	for _, o := range t.begun {
		for i := range t.Inputs {
			in := &t.Inputs[i]
			if in.Topic == o.Topic && in.Partition == o.Partition {
				in.Offset, in.Metadata, in.Fresh = o.Offset, o.Metadata, false
			}
		}
	}
	t.begun, t.records, t.lastCommit, t.settled = nil, 0, now, true
	t.careful = false
}

// timed checks how long the processing of n records took. If it took too long for a
// transaction, a replay processes the records one by one. Memory is told which single
// record took too long. If that record comes once more, it goes to the error policy.
func (t *Task) timed(n int, took, limit time.Duration) {
	if took < limit {
		return
	}
	if t.careful && n == 1 {
		t.Memory.Stalled(t.run.Last(), took)
	}
	t.careful = true
}
