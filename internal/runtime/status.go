package runtime

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/health"
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
func (s *Run) Started() bool { return s.started.Load() }

// Reach returns what the run cannot reach.
func (s *Run) Reach() health.Report { return s.health.Report() }

// Status asks the workers what their tasks are doing. It waits for timeout at most.
func (s *Run) Status(timeout time.Duration) Status {
	st := Status{
		MemberID: s.identity().MemberID,
		Records:  s.counters.records.Load(), Commits: s.counters.commits.Load(), Aborts: s.counters.aborts.Load(),
		Dropped: s.counters.dropped.Load(), Errors: s.counters.errors.Load(),
	}
	if s.fetcher != nil {
		st.BufferedBytes = s.fetcher.Buffered()
	}
	if s.shared != nil {
		st.StateBytes, _ = s.shared.Used()
	}
	ctx, cancel := context.WithTimeout(s.hard, timeout)
	defer cancel()
	statuses := s.statuses(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Generation = s.generation
	for id, h := range s.tasks {
		t := TaskStatus{ID: s.taskID(id), Worker: h.index, Restoring: !h.running}
		for _, status := range statuses {
			if status.ID == t.ID {
				t.LastCommit, t.Inputs = status.LastCommit, status.Inputs
			}
		}
		st.Tasks = append(st.Tasks, t)
	}
	slices.SortFunc(st.Tasks, func(a, b TaskStatus) int {
		return cmp.Or(cmp.Compare(a.ID.SubTopology, b.ID.SubTopology), cmp.Compare(a.ID.Partition, b.ID.Partition))
	})
	return st
}

// Held returns how many tasks the process holds, and how many of them do not run yet.
func (s *Run) Held() (all, restoring int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.tasks {
		if !h.running {
			restoring++
		}
	}
	return len(s.tasks), restoring
}

// Partitions is the number of tasks of a sub-topology, in all processes.
func (s *Run) Partitions(sub int) int32 { return s.layout.tasks(sub) }

// Running returns the partitions of a sub-topology whose tasks run here, in order.
func (s *Run) Running(sub int) []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var partitions []int32
	for id, h := range s.tasks {
		if int(id.SubTopology) == sub && h.running {
			partitions = append(partitions, id.Partition)
		}
	}
	slices.Sort(partitions)
	return partitions
}

// Committed returns the database of a task that runs here, of which a query takes a
// snapshot. It is nil if the task does not run here; restoring says that it is about to.
func (s *Run) Committed(sub int, partition int32) (db *engine.DB, restoring bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.tasks[assignment.TaskID{SubTopology: int32(sub), Partition: partition}]
	switch {
	case h == nil:
		return nil, false
	case !h.running:
		return nil, true
	}
	return h.task.DB, false
}

// CommittedAt returns when the worker of a task that runs here has committed last, or, if
// the task was restored later, when it was restored. It is zero if the task does not run
// here.
func (s *Run) CommittedAt(sub int, partition int32) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.tasks[assignment.TaskID{SubTopology: int32(sub), Partition: partition}]
	if h == nil || !h.running {
		return time.Time{}
	}
	if commit := s.commitAt[h.index]; commit.After(h.since) {
		return commit
	}
	return h.since
}
