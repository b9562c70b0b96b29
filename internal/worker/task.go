package worker

import (
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/processor"
)

// Task is a task that this process holds. It belongs to one goroutine at a time: to the
// host's while it is restored, to its worker's while it runs.
type Task struct {
	ID     taskid.ID
	Info   processor.Task // as user code knows it
	DB     *engine.DB     // nil without stores
	Budget *engine.Budget
	Memory *task.Memory

	// Inputs are the input partitions with what was committed last. The host sets them
	// before each Adopt, the worker moves them at each commit.
	Inputs []Input

	// Changelogs are the full names of the topics of its changelogs; the partition is the
	// task's.
	Changelogs []string

	// Rested says that the worker dropped the task right after a commit: nothing was
	// processed beyond Inputs. The worker sets it before it calls Host.Dropped.
	Rested bool

	run   *task.Task
	feeds []*Feed // as Inputs
	begun []task.Offset

	careful    bool  // one record at a time, to find the one that takes too long
	records    int64 // processed since the last commit
	lastCommit time.Time
	settled    bool // its last commit, offsets and all, has succeeded
}

// Input is an input partition of a Task.
type Input struct {
	task.Committed
	// Fresh: the group has no offset, and would not find this one again.
	Fresh bool
	// End is the last stable offset when the task started.
	End int64
}

// Status is what a running task was doing when it was asked.
type Status struct {
	ID         taskid.ID
	LastCommit time.Time
	Inputs     []InputStatus

	// Expired is up to where its windowed changelogs, by topic, are not needed any more.
	// It is nil before the first commit.
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

// feed returns the index of an input, -1 if f is not the feed that the task reads now.
func (t *Task) feed(f *Feed) int {
	for i, feed := range t.feeds {
		if feed == f {
			return i
		}
	}
	return -1
}

// take hands what was fetched to the task.
func (t *Task) take(b *batch) error {
	topic, partition := b.feed.Topic, b.feed.Partition
	if len(b.inputs) > 0 {
		if err := t.run.Add(topic, partition, b.inputs); err != nil {
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

// settle tells the fetcher what the task holds and waits for.
func (t *Task) settle() {
	waiting := t.run.Waiting()
	for _, feed := range t.feeds {
		_, held := t.run.Buffered(feed.Topic, feed.Partition)
		waited := false
		for _, w := range waiting {
			waited = waited || w.Topic == feed.Topic && w.Partition == feed.Partition
		}
		feed.settle(held, waited)
	}
}

// close ends the task's run. What it has not committed is gone.
func (t *Task) close() error {
	for i, feed := range t.feeds {
		// What is read again must be waited for as it was the first time.
		t.Inputs[i].End = max(t.Inputs[i].End, feed.End())
		feed.close()
	}
	// At least once, the local state may be ahead of the offsets now: what it has deleted
	// may be needed when the input is read again.
	t.settled = false
	t.feeds, t.begun, t.records = nil, nil, 0
	if t.run == nil {
		return nil
	}
	run := t.run
	t.run = nil
	return run.Close()
}

// committed moves the inputs to where the commit has brought them.
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

// timed looks at how long the processing of n records took. If it was too long for a
// transaction, the records are taken one by one should they have to be processed again;
// the one that takes too long then is the error policy's, should it come back once more.
func (t *Task) timed(n int, took, limit time.Duration) {
	if took < limit {
		return
	}
	if t.careful && n == 1 {
		t.Memory.Stalled(t.run.Last(), took)
	}
	t.careful = true
}
