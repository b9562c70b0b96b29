package runtime

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/health"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/worker"
)

// closer records which tasks were closed, and whether their state was complete.
type closer map[taskid.ID]bool

func (closer) attach(*worker.Task, taskid.ID, int) error { return nil }

func (c closer) detach(_ *worker.Task, id taskid.ID, caughtUp bool) { c[id] = caughtUp }

// newTestTasks makes tasks of two sub-topologies with four partitions each, and workers
// that do not run.
func newTestTasks(t *testing.T, workers int) (*tasks, closer) {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	a, b := graph.Topic{Name: "a"}, graph.Topic{Name: "b"}
	p := &plan{application: "app", counts: map[graph.Topic]int32{a: 4, b: 4}, graph: &graph.Graph{
		SubTopologies: []*graph.SubTopology{{ID: 0, Sources: []graph.Topic{a}}, {ID: 1, Sources: []graph.Topic{b}}},
	}}
	team := make([]*worker.Worker, workers)
	for i := range team {
		team[i] = worker.New(worker.Config{Index: i})
	}
	closed := closer{}
	held := newTasks(newLife(ctx, time.Minute, slog.New(slog.DiscardHandler)))
	held.setUp(p, closed, team)
	return held, closed
}

func all(subs, partitions int32) (ids []taskid.ID) {
	for sub := range subs {
		for partition := range partitions {
			ids = append(ids, taskid.ID{SubTopology: sub, Partition: partition})
		}
	}
	return ids
}

// Workers get equally many tasks, and also equally many of each sub-topology.
func TestTasksAreDealtOutEvenly(t *testing.T) {
	held, _ := newTestTasks(t, 4)
	assigned, ok := held.assign(1, all(2, 4))
	if !ok || len(assigned) != 8 {
		t.Fatalf("%d tasks, %v", len(assigned), ok)
	}
	count := map[[2]int]int{}
	for _, h := range assigned {
		count[[2]int{int(h.id.SubTopology), h.index}]++
	}
	for at, n := range count {
		if n != 1 {
			t.Errorf("worker %d has %d tasks of sub-topology %d", at[1], n, at[0])
		}
	}
}

// A task passes from the starter to its worker and back. Its present owner closes it.
func TestStagesOfTask(t *testing.T) {
	held, closed := newTestTasks(t, 1)
	id := taskid.ID{SubTopology: 1, Partition: 2}
	assigned, _ := held.assign(1, []taskid.ID{id})
	h := assigned[0]
	readable := func() bool { return slices.Contains(held.runningIn(1), 2) }
	if !held.anyFresh(assigned) || readable() {
		t.Error("a task that was assigned is not fresh, or already running")
	}
	if !held.adopt(h) || held.anyFresh(assigned) || !readable() {
		t.Error("a task that was adopted does not run")
	}
	if back := held.takeBack([]*worker.Task{h.task, {ID: h.task.ID}}); len(back) != 1 || back[0] != h {
		t.Errorf("took back %v", back)
	}
	if _, restoring := held.count(); restoring != 1 || held.anyFresh(assigned) || readable() {
		t.Error("a task that was taken back is not interrupted")
	}
	held.setClosing([]taskid.ID{id})
	if h.ctx.Err() == nil || held.adopt(h) {
		t.Error("a task that is closing can still run")
	}
	held.finish(h)
	if all, _ := held.count(); all != 0 || !closed[id] {
		t.Error("a task that had run was not closed as caught up")
	}
	<-h.done
}

// If a task is lost and assigned again in one callback, the second one is another task.
func TestFinishOfLostTaskLeavesItsSuccessor(t *testing.T) {
	held, closed := newTestTasks(t, 1)
	ids := all(1, 1)
	lost, _ := held.assign(1, ids)
	held.setClosing(ids)
	again, _ := held.assign(2, ids)
	held.finishDropped(lost[0].task) // no longer known
	held.finish(lost[0])
	if caughtUp := closed[ids[0]]; caughtUp {
		t.Error("a task that has never run was closed as caught up")
	}
	if !held.adopt(again[0]) || !slices.Equal(held.ids(), ids) {
		t.Error("the successor is gone")
	}
}

// Nothing is assigned after the run has begun to close.
func TestNothingIsAssignedAfterTheEnd(t *testing.T) {
	held, _ := newTestTasks(t, 1)
	held.stop()
	if _, ok := held.assign(1, all(1, 1)); ok || len(held.ids()) != 0 {
		t.Error("a task was assigned after the end")
	}
}

// stateEvents keeps the last State.
type stateEvents struct {
	silent
	last State
	then func() // called once, before last is set
}

func (e *stateEvents) State(s State) {
	if then := e.then; then != nil {
		e.then = nil
		then()
	}
	e.last = s
}

func TestPhase(t *testing.T) {
	held, _ := newTestTasks(t, 1)
	events := &stateEvents{}
	p := &phase{events: events, tasks: held, globals: &globals{}, health: &health.Tracker{}}
	expect := func(want State) {
		t.Helper()
		if p.report(); events.last != want {
			t.Errorf("state %v, want %v", events.last, want)
		}
	}
	expect(Starting)
	assigned, _ := held.assign(1, all(1, 2))
	expect(Restoring)
	held.adopt(assigned[0])
	expect(Restoring)
	held.adopt(assigned[1])
	expect(Running)
	// Another goroutine reports at the moment when this one is about to report a
	// restoring task.
	assigned, _ = held.assign(2, all(1, 3)[2:])
	events.then = func() {
		held.adopt(assigned[0])
		p.report()
	}
	expect(Running)
	began := time.Now()
	for _, at := range []time.Duration{0, time.Minute, 2 * time.Minute} {
		p.health.Observe(began.Add(at), health.Round{Group: errors.New("the coordinator is silent")})
	}
	expect(Unreachable)
}
