package runtime

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/health"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

// Counts are the counters of a run, and of those that it continues.
type Counts struct{ Records, Commits, Aborts, Dropped, Errors int64 }

// Counts returns the counters. It may be called at any time.
func (r *Run) Counts() Counts {
	c := r.counters
	return Counts{c.records.Load(), c.commits.Load(), c.aborts.Load(), c.dropped.Load(), c.errors.Load()}
}

// Status shows what a run was doing at one moment.
type Status struct {
	MemberID   string // the ID in the group; empty before the first join
	Generation int32  // the generation of the group's assignment

	BufferedBytes int64 // records that were fetched and not yet processed
	StateBytes    int64 // memory that stores hold

	Tasks []TaskStatus // sorted by sub-topology and partition
}

// TaskStatus is one task of a Status.
type TaskStatus struct {
	ID        processor.Task
	Worker    int
	Restoring bool
	// LastCommit and Inputs are reported by the task's worker. They are zero if the
	// worker did not answer in time, or does not have the task.
	LastCommit time.Time
	Inputs     []worker.InputStatus
}

// Started reports whether the run has joined its group. Before that, only Reach may be
// called of the methods below.
func (r *Run) Started() bool { return r.started.Load() }

// Reach returns what the run cannot reach.
func (r *Run) Reach() health.Report { return r.health.Report() }

// Status asks the workers what their tasks are doing. It waits for timeout at most.
func (r *Run) Status(timeout time.Duration) Status {
	s := Status{MemberID: r.member.identity().MemberID}
	if r.reads.fetcher != nil {
		s.BufferedBytes = r.reads.fetcher.Buffered()
	}
	s.StateBytes, _ = r.shared.Used()
	ctx, cancel := context.WithTimeout(r.hard, timeout)
	defer cancel()
	s.Generation, s.Tasks = r.tasks.statuses(r.statuses(ctx))
	return s
}

// statuses asks the workers what their tasks are doing, all at once. Workers that do not
// answer before ctx ends are omitted.
func (r *Run) statuses(ctx context.Context) []worker.Status {
	answers := make([][]worker.Status, len(r.workers))
	var asking sync.WaitGroup
	for i, w := range r.workers {
		asking.Go(func() {
			if status, err := w.Status(ctx); err == nil {
				answers[i] = status
			}
		})
	}
	asking.Wait()
	return slices.Concat(answers...)
}

// Held returns how many tasks the process holds, and how many of them do not run yet.
func (r *Run) Held() (all, restoring int) { return r.tasks.count() }

// Partitions returns the number of tasks of a sub-topology over all processes.
func (r *Run) Partitions(sub int) int32 { return r.plan.tasks(sub) }

// Running returns the partitions of a sub-topology whose tasks run here, in order.
func (r *Run) Running(sub int) []int32 { return r.tasks.runningIn(sub) }

// Committed returns the database of a task that runs here, for a query to take a
// snapshot. It is nil if the task does not run here. restoring says that the task is
// being restored here.
func (r *Run) Committed(sub int, partition int32) (db *engine.DB, restoring bool) {
	return r.tasks.database(taskid.Of(sub, partition))
}

// CommittedAt returns the time of the last commit by the worker of a task that runs here.
// If the task was restored later than that, it returns the time of the restore. It is
// zero if the task does not run here.
func (r *Run) CommittedAt(sub int, partition int32) time.Time {
	return r.tasks.committedAt(taskid.Of(sub, partition))
}
