package runtime

import (
	"cmp"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/worker"
)

// joined returns the time of the first assignment, or zero before it.
func (t *tasks) joined() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.joinedAt
}

// withState returns the running tasks that have a database. Their databases are up to
// date.
func (t *tasks) withState() (ids []taskid.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, h := range t.held {
		if h.stage == running && h.task.DB != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// count returns how many tasks the process holds, and how many of them the starter has.
func (t *tasks) count() (all, restoring int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.held {
		if h.stage != running {
			restoring++
		}
	}
	return len(t.held), restoring
}

// statuses returns what tasks are doing, from the reports of workers.
func (t *tasks) statuses(said []worker.Status) (generation int32, all []TaskStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range t.held {
		s := TaskStatus{ID: h.task.Info, Worker: h.index, Restoring: h.stage != running}
		for _, status := range said {
			if status.ID == h.id {
				s.LastCommit, s.Inputs = status.LastCommit, status.Inputs
			}
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b TaskStatus) int {
		return cmp.Or(cmp.Compare(a.ID.SubTopology, b.ID.SubTopology), cmp.Compare(a.ID.Partition, b.ID.Partition))
	})
	return t.generation, all
}

// runningIn returns the partitions of a sub-topology whose tasks run here, in order.
func (t *tasks) runningIn(sub int) (partitions []int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, h := range t.held {
		if int(id.SubTopology) == sub && h.stage == running {
			partitions = append(partitions, id.Partition)
		}
	}
	slices.Sort(partitions)
	return partitions
}

// database returns the database of a task that runs here, or nil if it does not.
// restoring says that the starter has it.
func (t *tasks) database(id taskid.ID) (db *engine.DB, restoring bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.held[id]
	switch {
	case h == nil:
		return nil, false
	case h.stage != running:
		return nil, true
	}
	return h.task.DB, false
}

// committedAt returns the time of the last commit by the worker of a task that runs here.
// If the task was restored later than that, it returns the time of the restore. It is
// zero if the task does not run here.
func (t *tasks) committedAt(id taskid.ID) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.held[id]
	if h == nil || h.stage != running {
		return time.Time{}
	}
	if commit := t.commitAt[h.index]; commit.After(h.since) {
		return commit
	}
	return h.since
}
