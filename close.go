package millrace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/worker"
)

// lastGrace is what workers get to come back after their user code was told that there is no more time.
const lastGrace = time.Second

// close ends the run: no more starts, what is being processed is finished and committed, the group is left, everything is closed. It returns the failure that ended the
// run, if any.
func (s *session) close() error {
	s.app.setState(Closing)
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.stop()
	deadline := time.AfterFunc(s.cfg.CloseTimeout, s.kill)
	defer deadline.Stop()
	ctx, cancel := context.WithTimeout(s.hard, s.cfg.CloseTimeout)
	defer cancel()

	s.starters.Wait()
	s.end(s.heldTasks(), false)
	var err error
	if group := s.membership(); group != nil {
		if err = group.Stop(ctx, s.cfg.OnClose == Leave); err != nil {
			s.log.Warn("ending the membership", "error", err)
		}
	}
	for _, w := range s.workers {
		w.Stop()
	}
	stuck := s.awaitWorkers()
	s.kill()
	s.background.Wait()
	if stuck {
		// The databases are in use, so they stay open, and the directory locked.
		return errors.Join(s.failure, fmt.Errorf("closing took longer than Config.CloseTimeout (%v): user code did not return", s.cfg.CloseTimeout))
	}
	s.closeUnused()
	s.release()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failure
}

// awaitWorkers waits for the workers, a little longer than they have time. It reports whether one did not come back.
func (s *session) awaitWorkers() (stuck bool) {
	for _, w := range s.workers {
		select {
		case <-w.Done():
			continue
		case <-s.hard.Done():
		}
		grace := time.NewTimer(lastGrace)
		select {
		case <-w.Done():
		case <-grace.C:
			stuck = true
		}
		grace.Stop()
	}
	return stuck
}

// release closes what prepare and start have opened.
func (s *session) release() {
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

// statuses asks the workers what their tasks are doing. Workers that do not answer while ctx lasts are left out.
func (s *session) statuses(ctx context.Context) []worker.Status {
	var all []worker.Status
	for _, w := range s.workers {
		status, err := w.Status(ctx)
		if err == nil {
			all = append(all, status...)
		}
	}
	return all
}
