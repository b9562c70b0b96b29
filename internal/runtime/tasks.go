package runtime

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/worker"
)

// role says why the process holds a task.
type role int

const (
	active  role = iota // to process its records
	closing             // to end it: the group has taken it away, or the run closes
)

// stage says who owns a task.
type stage int

const (
	// fresh: the starter, which restores its state for the first time.
	fresh stage = iota
	// running: its worker. Queries read its database.
	running
	// interrupted: the starter again, after the worker has returned the task.
	interrupted
)

// held is a task that the group has assigned to this process. The stage says who owns the
// fields of the worker.Task: a goroutine of the starter, or the worker.
type held struct {
	id     taskid.ID
	task   *worker.Task
	worker *worker.Worker
	index  int           // the index of the worker
	done   chan struct{} // closed when nobody owns the task

	// ctx ends when the task has to close, or the run begins to close. The starter works
	// in it.
	ctx    context.Context
	cancel context.CancelFunc
	run    string // the run in its start records; owned by the starter

	// Guarded by tasks.mu.
	role  role
	stage stage
	since time.Time // when the worker got the task
}

// taskCloser opens and closes the resources of a task on disk and in memory.
type taskCloser interface {
	attach(t *worker.Task, id taskid.ID, n int) error
	detach(t *worker.Task, id taskid.ID, caughtUp bool)
}

// tasks are the tasks that the process holds. It chooses the worker of a task, and knows
// the owner of each task at any moment. It calls nothing that may call it back.
type tasks struct {
	*life
	plan      *plan
	databases taskCloser
	workers   []*worker.Worker

	mu         sync.Mutex
	held       map[taskid.ID]*held
	generation int32
	joinedAt   time.Time   // the time of the first assignment; zero before
	commitAt   []time.Time // the time of the last commit, by worker
}

func newTasks(l *life) *tasks { return &tasks{life: l, held: map[taskid.ID]*held{}} }

// setUp sets the workers that get tasks, and what tasks need. Call it before the first
// assign.
func (t *tasks) setUp(p *plan, databases taskCloser, workers []*worker.Worker) {
	t.plan, t.databases, t.workers = p, databases, workers
	t.commitAt = make([]time.Time, len(workers))
}

// assign takes tasks from the group. If the run has begun to close, it takes nothing and
// returns false. The same tasks may have been lost a moment ago and still be with a
// worker, because close does not wait for them when its time is up.
func (t *tasks) assign(generation int32, ids []taskid.ID) ([]*held, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.soft.Err() != nil {
		return nil, false
	}
	if t.joinedAt.IsZero() {
		t.joinedAt = time.Now()
	}
	t.generation = generation
	assigned := make([]*held, 0, len(ids))
	for _, id := range ids {
		h := t.newHeld(id)
		t.held[id] = h
		assigned = append(assigned, h)
	}
	return assigned, true
}

// newHeld chooses the worker with the fewest tasks. Among several, it chooses the one
// with the fewest tasks of the sub-topology.
func (t *tasks) newHeld(id taskid.ID) *held {
	same, all := make([]int, len(t.workers)), make([]int, len(t.workers))
	for _, h := range t.held {
		all[h.index]++
		if h.id.SubTopology == id.SubTopology {
			same[h.index]++
		}
	}
	best := 0
	for i := range t.workers {
		if all[i] < all[best] || all[i] == all[best] && same[i] < same[best] {
			best = i
		}
	}
	h := &held{id: id, worker: t.workers[best], index: best, done: make(chan struct{})}
	h.task = &worker.Task{ID: id, Info: t.plan.task(id), Memory: task.NewMemory()}
	h.ctx, h.cancel = context.WithCancel(t.soft)
	return h
}

// close ends tasks. It returns those that this process had, once nobody owns them. Unless
// they are lost, their work has then been committed or aborted.
func (t *tasks) close(ids []taskid.ID, lost bool) []*held {
	ending, byWorker := t.setClosing(ids)
	for w, tasks := range byWorker {
		w.Drop(tasks, lost)
	}
	for _, h := range ending {
		select {
		case <-h.done:
		case <-h.worker.Done():
			// The task was stuck in user code until the time was up, and has ended
			// without a report.
		case <-t.hard.Done():
		}
	}
	return ending
}

// setClosing returns the tasks among ids that the process has, and those of them that
// workers have.
func (t *tasks) setClosing(ids []taskid.ID) (ending []*held, byWorker map[*worker.Worker][]*worker.Task) {
	byWorker = map[*worker.Worker][]*worker.Task{}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		h := t.held[id]
		if h == nil {
			continue
		}
		h.role = closing
		h.cancel()
		ending = append(ending, h)
		if h.stage == running {
			byWorker[h.worker] = append(byWorker[h.worker], h.task)
		}
	}
	return ending, byWorker
}

// adopt gives a restored task to its worker. It returns false if the task has to close.
// The caller then finishes it.
func (t *tasks) adopt(h *held) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.role == closing {
		return false
	}
	h.stage, h.since = running, time.Now()
	h.worker.Adopt(h.task)
	return true
}

// takeBack takes tasks back from their workers.
func (t *tasks) takeBack(from []*worker.Task) (back []*held) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, wt := range from {
		if h := t.of(wt); h != nil {
			h.stage = interrupted
			back = append(back, h)
		}
	}
	return back
}

// finish releases the resources of a task that nobody owns.
func (t *tasks) finish(h *held) {
	t.mu.Lock()
	ran := h.stage != fresh
	t.mu.Unlock()
	t.databases.detach(h.task, h.id, ran)
	t.mu.Lock()
	if t.held[h.id] == h {
		delete(t.held, h.id)
	}
	t.mu.Unlock()
	h.cancel()
	close(h.done)
}

// finishDropped finishes a task that its worker has dropped.
func (t *tasks) finishDropped(wt *worker.Task) {
	t.mu.Lock()
	h := t.of(wt)
	t.mu.Unlock()
	if h != nil {
		t.finish(h)
	}
}

// of returns the held task of a worker.Task. The caller holds mu.
func (t *tasks) of(wt *worker.Task) *held {
	if h := t.held[wt.ID]; h != nil && h.task == wt {
		return h
	}
	return nil
}

// open opens a task's resources on disk and in memory, if they are not open yet.
func (t *tasks) open(h *held) error { return t.databases.attach(h.task, h.id, t.stateful()) }

// stateful returns the number of tasks with a database, at least 1.
func (t *tasks) stateful() int {
	n := 0
	for _, id := range t.ids() {
		if t.plan.stateful(id) {
			n++
		}
	}
	return max(n, 1)
}

// ids returns the tasks that this process has, in order.
func (t *tasks) ids() []taskid.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := make([]taskid.ID, 0, len(t.held))
	for id := range t.held {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, taskid.ID.Compare)
	return ids
}

// anyFresh reports whether one of the tasks has not run here since it was assigned.
func (t *tasks) anyFresh(tasks []*held) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(tasks, func(h *held) bool { return h.stage == fresh })
}

// ran reports whether a task has run here since it was assigned.
func (t *tasks) ran(h *held) bool { return !t.anyFresh([]*held{h}) }

// committed notes that a worker has committed.
func (t *tasks) committed(worker int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.commitAt[worker] = time.Now()
}
