package runtime

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/millrace-streams/millrace/internal/backoff"
)

// starter prepares tasks for their workers. It records what the stores mean, finds where
// the tasks start to read, and restores their state.
type starter struct {
	*life
	tasks     *tasks
	enrol     func(context.Context) error // records what the stores mean
	locator   *locator
	restoring restoring
	phase     *phase
	unused    func() // closes databases whose tasks were not assigned
	parallel  int    // the number of parallel restores

	goroutines sync.WaitGroup
	mu         sync.Mutex
	closed     bool
}

// start brings tasks to the state of their last commit, whichever process made it, and
// gives each to its worker as soon as it is ready. It does not wait.
//
// The order matters. The committed offsets are read first; this waits for open
// transactions of a former owner. The ends of the changelogs are read afterwards. All
// changelog records that belong to the offsets therefore lie below those ends.
func (s *starter) start(tasks []*held) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		for _, h := range tasks {
			s.tasks.finish(h)
		}
		return
	}
	s.goroutines.Add(1)
	s.mu.Unlock()
	go func() {
		defer s.goroutines.Done()
		ready, waiting := s.located(s.enrolled(tasks))
		if len(waiting) > 0 {
			s.awaitDisks(waiting)
		}
		if len(ready) > 0 {
			s.restore(ready)
			s.unused()
		}
	}()
}

// refuse makes start finish the tasks instead of starting them.
func (s *starter) refuse() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// wait returns when no task is being started. Call it after refuse.
func (s *starter) wait() { s.goroutines.Wait() }

// enrolled records what the state means before tasks process their first record. It
// returns the tasks that were not revoked meanwhile.
func (s *starter) enrolled(tasks []*held) []*held {
	return s.untilDone(tasks, func(tasks []*held) error {
		if !s.tasks.anyFresh(tasks) {
			return nil
		}
		ctx, cancel := untilGone(s.soft, tasks)
		defer cancel()
		return s.enrol(ctx)
	})
}

// located finds where tasks start to read. It returns the tasks that were not revoked
// meanwhile. Tasks in waiting cannot start yet.
func (s *starter) located(tasks []*held) (ready, waiting []*held) {
	ready = s.untilDone(tasks, func(tasks []*held) (err error) {
		ctx, cancel := untilGone(s.soft, tasks)
		defer cancel()
		waiting, err = s.locator.locate(ctx, tasks)
		return err
	})
	if len(ready) == 0 {
		return nil, nil
	}
	waits := func(h *held) bool { return slices.Contains(waiting, h) }
	return slices.DeleteFunc(slices.Clone(ready), waits), waiting
}

// awaitDisks waits until the other processes have had time to join, and then starts the
// tasks again, unless they were revoked.
func (s *starter) awaitDisks(tasks []*held) {
	s.goroutines.Go(func() {
		ctx, cancel := untilGone(s.soft, tasks)
		// withoutGone checks why the wait ended.
		_ = backoff.Sleep(ctx, time.Until(s.locator.disksUntil()))
		cancel()
		if left := s.withoutGone(tasks); len(left) > 0 {
			s.start(left)
		}
	})
}

// restore restores tasks in groups, and waits for them.
func (s *starter) restore(tasks []*held) {
	var groups sync.WaitGroup
	for _, group := range split(tasks, s.parallel) {
		groups.Go(func() { s.restoreGroup(group) })
	}
	groups.Wait()
}

// split divides tasks into at most n groups.
func split(tasks []*held, n int) [][]*held {
	groups := make([][]*held, min(n, len(tasks)))
	for i, h := range tasks {
		groups[i%len(groups)] = append(groups[i%len(groups)], h)
	}
	return groups
}

// restoreGroup restores tasks with one client.
func (s *starter) restoreGroup(tasks []*held) {
	var targets []*target
	for _, h := range tasks {
		t, err := s.target(h)
		switch {
		case err != nil:
			s.abandon([]*held{h}, fmt.Errorf("task %v: %w", h.id, err))
		case len(t.logs) == 0:
			s.ready(h)
		default:
			targets = append(targets, t)
		}
	}
	s.restoring.run(targets)
}

// target opens a task's database and finds what has to be restored.
func (s *starter) target(h *held) (*target, error) {
	if err := s.tasks.open(h); err != nil {
		return nil, err
	}
	t := &target{
		ctx: h.ctx, cancel: h.cancel, task: h.task, inputs: h.task.Inputs,
		ready: func() { s.ready(h) }, gone: func() { s.tasks.finish(h) },
	}
	if err := t.addChangelogs(s.tasks.plan, h.id); err != nil {
		return nil, err
	}
	return t, nil
}

// ready gives a restored task to its worker, unless it was meanwhile set to close.
func (s *starter) ready(h *held) {
	if !s.tasks.adopt(h) {
		s.tasks.finish(h)
		return
	}
	s.log.Debug("running", "task", h.id.String(), "worker", h.index)
	s.phase.report()
}

// untilDone calls do for tasks. If tasks are revoked meanwhile, it calls do again for the
// others. It returns the tasks that are left. If do fails for another reason, the
// application fails.
func (s *starter) untilDone(tasks []*held, do func([]*held) error) []*held {
	for len(tasks) > 0 {
		err := do(tasks)
		if err == nil {
			return tasks
		}
		left := s.withoutGone(tasks)
		if len(left) == len(tasks) {
			s.abandon(tasks, err)
			return nil
		}
		tasks = left
	}
	return nil
}

// withoutGone finishes the tasks that were revoked, or that the end of the run has
// stopped, and returns the others.
func (s *starter) withoutGone(tasks []*held) []*held {
	var left []*held
	for _, h := range tasks {
		if h.ctx.Err() != nil {
			s.tasks.finish(h)
		} else {
			left = append(left, h)
		}
	}
	return left
}

// abandon finishes tasks that cannot be started. Unless the reason is their end or the
// end of the run, the application fails.
func (s *starter) abandon(tasks []*held, err error) {
	ended := s.soft.Err() != nil
	for _, h := range tasks {
		ended = ended || h.ctx.Err() != nil
	}
	if !ended {
		s.fail(err)
	}
	for _, h := range tasks {
		s.tasks.finish(h)
	}
}

// untilGone returns a context that ends when ctx ends, or when one of the tasks is
// revoked.
func untilGone(ctx context.Context, tasks []*held) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	var stops []func() bool
	for _, h := range tasks {
		stops = append(stops, context.AfterFunc(h.ctx, cancel))
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
