package runtime

import (
	"context"

	"github.com/millrace-streams/millrace/internal/shutdown"
	"github.com/millrace-streams/millrace/internal/worker"
)

// close ends the run: nothing more is started, the records in work are finished and
// committed, the group is left, everything is closed. It returns the failure that ended
// the run, if any. It waits for each of these without a limit; Run does not wait longer
// than Config.CloseTimeout for close. If user code is stuck, its databases stay open, and
// the directory locked, until it returns.
func (s *Run) close() error {
	s.ending.Step("a hook that is told that the application closes")
	s.cfg.Events.State(Closing)
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.stop()

	s.ending.Step("the restore of tasks, or a hook that is told of it")
	s.starters.Wait()
	s.ending.Step("user code or commits of workers")
	s.end(s.heldTasks(), false)
	if group := s.membership(); group != nil {
		s.ending.Step("the group")
		if err := group.Stop(s.hard, !s.cfg.Stay); err != nil {
			s.log.Warn("ending the membership", "error", err)
		}
	}
	s.ending.Step("user code or commits of workers")
	for _, w := range s.workers {
		w.Stop()
	}
	for _, w := range s.workers {
		<-w.Done()
	}
	s.kill()
	s.ending.Step("background work")
	s.background.Wait()
	s.ending.Step("databases and connections, which are being closed")
	s.closeUnused()
	s.release()
	return s.failureSoFar()
}

func (s *Run) failureSoFar() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// warnOfLate logs what Run does not wait for any more.
func (s *Run) warnOfLate(late *shutdown.LateError) {
	log := s.cfg.Logger.With("application", s.cfg.ApplicationID)
	log.Error("closing is not over in time", "limit", late.Limit, "waiting_for", late.Step)
	if !s.Started() { // the start is what is stuck
		return
	}
	for i, w := range s.workers {
		select {
		case <-w.Done():
		default:
			log.Error("still at work", "worker", i, "stack", w.Stack())
		}
	}
}

// release closes what prepare and start have opened.
func (s *Run) release() {
	if s.restorer != nil {
		s.restorer.Close()
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.shared != nil {
		s.shared.Close()
	}
	if err := s.dir.Close(); err != nil {
		s.log.Warn("closing the state directory", "error", err)
	}
}

// statuses asks the workers what their tasks are doing. Workers that do not answer while
// ctx lasts are left out.
func (s *Run) statuses(ctx context.Context) []worker.Status {
	var all []worker.Status
	for _, w := range s.workers {
		status, err := w.Status(ctx)
		if err == nil {
			all = append(all, status...)
		}
	}
	return all
}
