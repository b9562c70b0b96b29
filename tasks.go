package millrace

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

// held is a task that the group has given to this process. Its fields are guarded by session.mu, except those of the worker.Task, which belong to whoever has
// the task: a goroutine that starts it, or its worker.
type held struct {
	id     assignment.TaskID
	task   *worker.Task
	worker *worker.Worker
	index  int // of the worker

	running    bool // the worker has it
	wasRunning bool // its state has been restored once
	gone       bool // it must not run any more
	cancel     context.CancelFunc
	ctx        context.Context // of its restoring
	done       chan struct{}   // closed when nobody has it any more
}

// groupHandler carries out what the group decides.
type groupHandler struct{ r *session }

// Assigned implements membership.Handler.
func (h groupHandler) Assigned(generation int32, ids []assignment.TaskID) {
	h.r.assigned(generation, ids)
}

// Revoked implements membership.Handler.
func (h groupHandler) Revoked(generation int32, ids []assignment.TaskID) {
	h.r.takeAway(Rebalance{Generation: generation}, ids)
}

// Lost implements membership.Handler.
func (h groupHandler) Lost(ids []assignment.TaskID) {
	h.r.takeAway(Rebalance{Generation: -1, Lost: true}, ids)
}

// Trouble implements membership.Handler.
func (h groupHandler) Trouble(err error, fatal bool) {
	if fatal {
		h.r.fail(err)
		return
	}
	h.r.log.Warn("trouble with the group; it goes on trying", "error", err)
}

func (r *session) assigned(generation int32, ids []assignment.TaskID) {
	if err := r.checkAssigned(ids); err != nil {
		r.fail(err)
		return
	}
	r.mu.Lock()
	if r.soft.Err() != nil {
		// Nothing is started any more. And the same tasks may have been lost a moment ago, and still be with a worker: out of time, end does not wait for that.
		r.mu.Unlock()
		return
	}
	r.generation, r.joined = generation, true
	fresh := make([]*held, 0, len(ids))
	for _, id := range ids {
		h := r.newHeld(id)
		r.tasks[id] = h
		fresh = append(fresh, h)
	}
	r.mu.Unlock()
	r.updateState()
	rebalance := Rebalance{Generation: generation, Assigned: r.taskIDs(ids)}
	r.log.Info("assigned", "generation", generation, "tasks", texts(ids))
	each(r.log, r.hooks, func(h HookRebalance) { h.OnRebalance(rebalance) })
	r.restore(fresh)
}

// checkAssigned refuses a task of a partition that the input did not have when the application started.
func (r *session) checkAssigned(ids []assignment.TaskID) error {
	for _, id := range ids {
		if n := r.layout.tasks(int(id.SubTopology)); id.Partition >= n {
			return fmt.Errorf("task %v was assigned, but the topics of its part of the topology have %d partitions: %w", id, n, errPartitionsChanged)
		}
	}
	return nil
}

// newHeld chooses the worker with the fewest tasks of the sub-topology, and among those the one with the fewest tasks.
func (r *session) newHeld(id assignment.TaskID) *held {
	same, all := make([]int, len(r.workers)), make([]int, len(r.workers))
	for _, h := range r.tasks {
		all[h.index]++
		if h.id.SubTopology == id.SubTopology {
			same[h.index]++
		}
	}
	best := 0
	for i := range r.workers {
		if all[i] < all[best] || all[i] == all[best] && same[i] < same[best] {
			best = i
		}
	}
	h := &held{id: id, worker: r.workers[best], index: best, done: make(chan struct{})}
	h.task = &worker.Task{ID: r.taskID(id), Memory: task.NewMemory()}
	h.ctx, h.cancel = context.WithCancel(r.soft)
	return h
}

func (r *session) taskID(id assignment.TaskID) processor.Task {
	return processor.Task{SubTopology: int(id.SubTopology), Partition: id.Partition, Partitions: r.layout.tasks(int(id.SubTopology))}
}

func (r *session) taskIDs(ids []assignment.TaskID) []processor.Task {
	out := make([]processor.Task, len(ids))
	for i, id := range ids {
		out[i] = r.taskID(id)
	}
	return out
}

func texts(ids []assignment.TaskID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = id.String()
	}
	return out
}

// takeAway ends tasks and returns when nobody has them any more: unless they are lost, what they did has then been committed, or aborted.
func (r *session) takeAway(rebalance Rebalance, ids []assignment.TaskID) {
	rebalance.Revoked = r.taskIDs(ids)
	r.log.Info("revoked", "generation", rebalance.Generation, "tasks", texts(ids), "lost", rebalance.Lost)
	each(r.log, r.hooks, func(h HookRebalance) { h.OnRebalance(rebalance) })
	r.end(ids, rebalance.Lost)
	r.updateState()
}

// end ends tasks. Tasks that this process does not have are left out.
func (r *session) end(ids []assignment.TaskID, lost bool) {
	byWorker := map[*worker.Worker][]*worker.Task{}
	var ending []*held
	r.mu.Lock()
	for _, id := range ids {
		h := r.tasks[id]
		if h == nil {
			continue
		}
		h.gone = true
		h.cancel()
		ending = append(ending, h)
		if h.running {
			byWorker[h.worker] = append(byWorker[h.worker], h.task)
		}
	}
	r.mu.Unlock()
	for w, tasks := range byWorker {
		w.Drop(tasks, lost)
	}
	for _, h := range ending {
		select {
		case <-h.done:
		case <-h.worker.Done():
			// Stuck in user code until there was no more time: it has ended without a word.
		case <-r.hard.Done():
		}
	}
}

// host is what workers tell their process.
type host struct{ r *session }

// Restore implements worker.Host.
func (h host) Restore(tasks []*worker.Task) {
	r := h.r
	var again []*held
	r.mu.Lock()
	for _, t := range tasks {
		held := r.heldOf(t)
		if held == nil {
			continue
		}
		held.running = false
		again = append(again, held)
	}
	r.mu.Unlock()
	r.updateState()
	r.restore(again)
}

// Dropped implements worker.Host.
func (h host) Dropped(t *worker.Task) {
	h.r.mu.Lock()
	held := h.r.heldOf(t)
	h.r.mu.Unlock()
	if held != nil {
		h.r.finish(held)
	}
}

// heldOf is called with mu.
func (r *session) heldOf(t *worker.Task) *held {
	id := assignment.TaskID{SubTopology: int32(t.ID.SubTopology), Partition: t.ID.Partition}
	if h := r.tasks[id]; h != nil && h.task == t {
		return h
	}
	return nil
}

// finish closes what a task has, once nobody runs or restores it.
func (r *session) finish(h *held) {
	r.closeDatabase(h)
	r.mu.Lock()
	if r.tasks[h.id] == h {
		delete(r.tasks, h.id)
	}
	r.mu.Unlock()
	h.cancel()
	close(h.done)
}

func (r *session) closeDatabase(h *held) {
	h.task.Budget.Close()
	if h.task.DB == nil {
		return
	}
	if h.wasRunning {
		r.databases.caughtUp(h.id)
	}
	if err := h.task.DB.Close(); err != nil {
		r.log.Warn("closing the database of a task; its state is restored from the changelog where it is too old", "task", h.id.String(), "error", err)
	}
}

// run gives a restored task to its worker, unless it is gone meanwhile.
func (r *session) runTask(h *held) {
	r.mu.Lock()
	if !h.gone {
		h.running, h.wasRunning = true, true
		h.worker.Adopt(h.task)
	}
	gone := h.gone
	r.mu.Unlock()
	if gone {
		r.finish(h)
		return
	}
	r.log.Debug("running", "task", h.id.String(), "worker", h.index)
	r.updateState()
}

// Fail implements worker.Host.
func (h host) Fail(err error) { h.r.fail(explainFailure(err)) }

// Observer implements worker.Host.
func (h host) Observer(t *worker.Task) task.Observer { return observer{h.r, t.ID} }

// Commit implements worker.Host.
func (h host) Commit(c worker.Commit) {
	counters := &h.r.counters
	if c.Err == nil {
		counters.commits.Add(1)
		counters.records.Add(c.Records)
	} else {
		counters.aborts.Add(1)
	}
	commit := Commit{Worker: c.Worker, Tasks: c.Tasks, Records: c.Records, Duration: c.Duration, Err: c.Err}
	each(h.r.log, h.r.hooks, func(hook HookCommit) { hook.OnCommit(commit) })
}

// observer is told what one task decides.
type observer struct {
	r  *session
	id processor.Task
}

// Dropped implements task.Observer.
func (o observer) Dropped(node, reason string, record processor.Metadata) {
	o.r.counters.dropped.Add(1)
	each(o.r.log, o.r.hooks, func(h HookDropped) { h.OnDropped(Dropped{Task: o.id, Node: node, Reason: reason, Record: record}) })
}

// Errored implements task.Observer.
func (o observer) Errored(err *processor.Error, action processor.Action) {
	o.r.counters.errors.Add(1)
	each(o.r.log, o.r.hooks, func(h HookError) { h.OnError(err, action) })
}

// updateState sets the state from what the tasks are doing.
func (r *session) updateState() {
	r.mu.Lock()
	state := Running
	for _, h := range r.tasks {
		if !h.running {
			state = Restoring
		}
	}
	joined := r.joined
	r.mu.Unlock()
	if joined {
		r.app.setState(state)
	}
}

// heldTasks returns the IDs of the tasks that this process has, in order.
func (r *session) heldTasks() []assignment.TaskID {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]assignment.TaskID, 0, len(r.tasks))
	for id := range r.tasks {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, assignment.TaskID.Compare)
	return ids
}
