package runtime

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

// held is a task that the group has given to this process. Its fields are guarded by
// session.mu, except those of the worker.Task, which belong to whoever has the task: a
// goroutine that starts it, or its worker.
type held struct {
	id     assignment.TaskID
	task   *worker.Task
	worker *worker.Worker
	index  int // of the worker

	running    bool      // the worker has it
	since      time.Time // when the worker got it
	wasRunning bool      // its state has been restored once
	gone       bool      // it must not run any more
	run        string    // of its start records
	cancel     context.CancelFunc
	ctx        context.Context // of its restoring
	done       chan struct{}   // closed when nobody has it any more
}

// groupHandler carries out what the group decides.
type groupHandler struct{ session *Run }

// Assigned implements membership.Handler.
func (h groupHandler) Assigned(generation int32, ids []assignment.TaskID) {
	h.session.assigned(generation, ids)
}

// Revoked implements membership.Handler.
func (h groupHandler) Revoked(generation int32, ids []assignment.TaskID) {
	h.session.takeAway(Rebalance{Generation: generation}, ids)
}

// Lost implements membership.Handler.
func (h groupHandler) Lost(ids []assignment.TaskID) {
	h.session.takeAway(Rebalance{Generation: -1, Lost: true}, ids)
}

// Trouble implements membership.Handler.
func (h groupHandler) Trouble(err error, fatal bool) {
	if fatal {
		h.session.fail(err)
		return
	}
	h.session.log.Warn("trouble with the group; it goes on trying", "error", err)
}

func (s *Run) assigned(generation int32, ids []assignment.TaskID) {
	if err := s.checkAssigned(ids); err != nil {
		s.fail(err)
		return
	}
	s.mu.Lock()
	if s.soft.Err() != nil {
		// Nothing is started any more. And the same tasks may have been lost a moment
		// ago, and still be with a worker: out of time, end does not wait for that.
		s.mu.Unlock()
		return
	}
	if !s.joined {
		s.joinedAt = time.Now()
	}
	s.generation, s.joined = generation, true
	fresh := make([]*held, 0, len(ids))
	for _, id := range ids {
		h := s.newHeld(id)
		s.tasks[id] = h
		fresh = append(fresh, h)
	}
	s.mu.Unlock()
	s.updateState()
	rebalance := Rebalance{Generation: generation, Assigned: s.taskIDs(ids)}
	s.log.Info("assigned", "generation", generation, "tasks", texts(ids))
	s.cfg.Events.Rebalance(rebalance)
	s.restore(fresh)
}

// checkAssigned refuses a task of a partition that the input did not have when the
// application started.
func (s *Run) checkAssigned(ids []assignment.TaskID) error {
	for _, id := range ids {
		if n := s.layout.tasks(int(id.SubTopology)); id.Partition >= n {
			return fmt.Errorf("task %v was assigned, but the topics of its part of the topology have %d partitions: %w", id, n, errPartitionsChanged)
		}
	}
	return nil
}

// newHeld chooses the worker with the fewest tasks of the sub-topology, and among those
// the one with the fewest tasks.
func (s *Run) newHeld(id assignment.TaskID) *held {
	same, all := make([]int, len(s.workers)), make([]int, len(s.workers))
	for _, h := range s.tasks {
		all[h.index]++
		if h.id.SubTopology == id.SubTopology {
			same[h.index]++
		}
	}
	best := 0
	for i := range s.workers {
		if all[i] < all[best] || all[i] == all[best] && same[i] < same[best] {
			best = i
		}
	}
	h := &held{id: id, worker: s.workers[best], index: best, done: make(chan struct{})}
	h.task = &worker.Task{ID: s.taskID(id), Memory: task.NewMemory()}
	h.ctx, h.cancel = context.WithCancel(s.soft)
	return h
}

func (s *Run) taskID(id assignment.TaskID) processor.Task {
	return processor.Task{SubTopology: int(id.SubTopology), Partition: id.Partition, Partitions: s.layout.tasks(int(id.SubTopology))}
}

func (s *Run) taskIDs(ids []assignment.TaskID) []processor.Task {
	out := make([]processor.Task, len(ids))
	for i, id := range ids {
		out[i] = s.taskID(id)
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

// takeAway ends tasks and returns when nobody has them any more: unless they are lost,
// what they did has then been committed, or aborted.
func (s *Run) takeAway(rebalance Rebalance, ids []assignment.TaskID) {
	rebalance.Revoked = s.taskIDs(ids)
	s.log.Info("revoked", "generation", rebalance.Generation, "tasks", texts(ids), "lost", rebalance.Lost)
	s.cfg.Events.Rebalance(rebalance)
	s.end(ids, rebalance.Lost)
	s.updateState()
}

// end ends tasks. Tasks that this process does not have are left out.
func (s *Run) end(ids []assignment.TaskID, lost bool) {
	byWorker := map[*worker.Worker][]*worker.Task{}
	var ending []*held
	s.mu.Lock()
	for _, id := range ids {
		h := s.tasks[id]
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
	s.mu.Unlock()
	for w, tasks := range byWorker {
		w.Drop(tasks, lost)
	}
	for _, h := range ending {
		select {
		case <-h.done:
		case <-h.worker.Done():
			// Stuck in user code until there was no more time: it has ended without a
			// word.
		case <-s.hard.Done():
		}
	}
	if !lost {
		s.recordStops(ending)
	}
}

// host is what workers tell their process.
type host struct{ session *Run }

// Restore implements worker.Host.
func (h host) Restore(tasks []*worker.Task) {
	s := h.session
	var again []*held
	s.mu.Lock()
	for _, t := range tasks {
		held := s.heldOf(t)
		if held == nil {
			continue
		}
		held.running = false
		again = append(again, held)
	}
	s.mu.Unlock()
	s.updateState()
	s.restore(again)
}

// Dropped implements worker.Host.
func (h host) Dropped(t *worker.Task) {
	h.session.mu.Lock()
	held := h.session.heldOf(t)
	h.session.mu.Unlock()
	if held != nil {
		h.session.finish(held)
	}
}

// heldOf is called with mu.
func (s *Run) heldOf(t *worker.Task) *held {
	id := assignment.TaskID{SubTopology: int32(t.ID.SubTopology), Partition: t.ID.Partition}
	if h := s.tasks[id]; h != nil && h.task == t {
		return h
	}
	return nil
}

// finish closes what a task has, once nobody runs or restores it.
func (s *Run) finish(h *held) {
	s.closeDatabase(h)
	s.mu.Lock()
	if s.tasks[h.id] == h {
		delete(s.tasks, h.id)
	}
	s.mu.Unlock()
	h.cancel()
	close(h.done)
}

func (s *Run) closeDatabase(h *held) {
	h.task.Budget.Close()
	if h.task.DB == nil {
		return
	}
	if h.wasRunning {
		s.databases.caughtUp(h.id)
	}
	if err := h.task.DB.Close(); err != nil {
		s.log.Warn("closing the database of a task; its state is restored from the changelog where it is too old", "task", h.id.String(), "error", err)
	}
}

// run gives a restored task to its worker, unless it is gone meanwhile.
func (s *Run) runTask(h *held) {
	s.mu.Lock()
	if !h.gone {
		h.running, h.wasRunning, h.since = true, true, time.Now()
		h.worker.Adopt(h.task)
	}
	gone := h.gone
	s.mu.Unlock()
	if gone {
		s.finish(h)
		return
	}
	s.log.Debug("running", "task", h.id.String(), "worker", h.index)
	s.updateState()
}

// Fail implements worker.Host.
func (h host) Fail(err error) { h.session.fail(explainFailure(err)) }

// Observer implements worker.Host.
func (h host) Observer(t *worker.Task) task.Observer { return observer{h.session, t.ID} }

// Commit implements worker.Host.
func (h host) Commit(c worker.Commit) {
	counters := &h.session.counters
	if c.Err == nil {
		counters.commits.Add(1)
		counters.records.Add(c.Records)
		h.session.mu.Lock()
		h.session.commitAt[c.Worker] = time.Now()
		h.session.mu.Unlock()
	} else {
		counters.aborts.Add(1)
	}
	h.session.cfg.Events.Committed(c)
}

// observer is told what one task decides.
type observer struct {
	session *Run
	id      processor.Task
}

// Dropped implements task.Observer.
func (o observer) Dropped(node, reason string, record processor.Metadata) {
	o.session.counters.dropped.Add(1)
	o.session.cfg.Events.Dropped(Dropped{Task: o.id, Node: node, Reason: reason, Record: record})
}

// Errored implements task.Observer.
func (o observer) Errored(err *processor.Error, action processor.Action) {
	o.session.counters.errors.Add(1)
	o.session.cfg.Events.Errored(err, action)
}

// updateState sets the state from what the tasks are doing, and from what is within
// reach.
func (s *Run) updateState() {
	s.mu.Lock()
	state := Running
	for _, h := range s.tasks {
		if !h.running {
			state = Restoring
		}
	}
	joined := s.joined
	s.mu.Unlock()
	switch report := s.health.Report(); {
	case report.Cluster.Out() || report.Group.Out():
		state = Unreachable
	case !joined:
		state = Starting
	}
	s.cfg.Events.State(state)
}

// heldTasks returns the IDs of the tasks that this process has, in order.
func (s *Run) heldTasks() []assignment.TaskID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]assignment.TaskID, 0, len(s.tasks))
	for id := range s.tasks {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, assignment.TaskID.Compare)
	return ids
}
