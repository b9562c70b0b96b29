package runtime

import (
	"context"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/health"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

// Status is what a run was doing at one moment. Counters count since New.
type Status struct {
	MemberID   string // in the group; empty before the first join
	Generation int32  // of the group's assignment

	Records, Commits, Aborts, Dropped, Errors int64

	BufferedBytes int64 // of records fetched and not processed
	StateBytes    int64 // held in memory by stores

	Tasks []TaskStatus // by sub-topology and partition
}

// TaskStatus is one task of a Status.
type TaskStatus struct {
	ID        processor.Task
	Worker    int
	Restoring bool
	// LastCommit and Inputs are what the task's worker says. They are zero if it did not
	// answer in time, or does not have the task.
	LastCommit time.Time
	Inputs     []worker.InputStatus
}

// Started reports whether the run has joined its group. Before, the methods below must
// not be called, other than Reach.
func (r *Run) Started() bool { return r.started.Load() }

// Reach returns what the run cannot reach.
func (r *Run) Reach() health.Report { return r.health.Report() }

// Status asks the workers what their tasks are doing. It waits for timeout at most.
func (r *Run) Status(timeout time.Duration) Status {
	s := Status{
		MemberID: r.member.identity().MemberID,
		Records:  r.counters.records.Load(), Commits: r.counters.commits.Load(), Aborts: r.counters.aborts.Load(),
		Dropped: r.counters.dropped.Load(), Errors: r.counters.errors.Load(),
	}
	if r.reads.fetcher != nil {
		s.BufferedBytes = r.reads.fetcher.Buffered()
	}
	s.StateBytes, _ = r.shared.Used()
	ctx, cancel := context.WithTimeout(r.hard, timeout)
	defer cancel()
	s.Generation, s.Tasks = r.tasks.statuses(r.statuses(ctx))
	return s
}

// statuses asks the workers what their tasks are doing. Workers that do not answer while
// ctx lasts are left out.
func (r *Run) statuses(ctx context.Context) []worker.Status {
	var all []worker.Status
	for _, w := range r.workers {
		status, err := w.Status(ctx)
		if err == nil {
			all = append(all, status...)
		}
	}
	return all
}

// Held returns how many tasks the process holds, and how many of them do not run yet.
func (r *Run) Held() (all, restoring int) { return r.tasks.count() }

// Partitions is the number of tasks of a sub-topology, in all processes.
func (r *Run) Partitions(sub int) int32 { return r.plan.tasks(sub) }

// Running returns the partitions of a sub-topology whose tasks run here, in order.
func (r *Run) Running(sub int) []int32 { return r.tasks.runningIn(sub) }

// Committed returns the database of a task that runs here, of which a query takes a
// snapshot. It is nil if the task does not run here; restoring says that it is about to.
func (r *Run) Committed(sub int, partition int32) (db *engine.DB, restoring bool) {
	return r.tasks.database(taskid.Of(sub, partition))
}

// CommittedAt returns when the worker of a task that runs here has committed last, or, if
// the task was restored later, when it was restored. It is zero if the task does not run
// here.
func (r *Run) CommittedAt(sub int, partition int32) time.Time {
	return r.tasks.committedAt(taskid.Of(sub, partition))
}
