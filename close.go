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
func (r *session) close() error {
	r.app.setState(Closing)
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	r.stop()
	deadline := time.AfterFunc(r.cfg.CloseTimeout, r.kill)
	defer deadline.Stop()
	ctx, cancel := context.WithTimeout(r.hard, r.cfg.CloseTimeout)
	defer cancel()

	r.starters.Wait()
	r.end(r.heldTasks(), false)
	var err error
	if group := r.membership(); group != nil {
		if err = group.Stop(ctx, r.cfg.OnClose == Leave); err != nil {
			r.log.Warn("ending the membership", "error", err)
		}
	}
	for _, w := range r.workers {
		w.Stop()
	}
	stuck := r.awaitWorkers()
	r.kill()
	r.background.Wait()
	if stuck {
		// The databases are in use, so they stay open, and the directory locked.
		return errors.Join(r.failure, fmt.Errorf("closing took longer than Config.CloseTimeout (%v): user code did not return", r.cfg.CloseTimeout))
	}
	r.closeUnused()
	r.release()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failure
}

// awaitWorkers waits for the workers, a little longer than they have time. It reports whether one did not come back.
func (r *session) awaitWorkers() (stuck bool) {
	for _, w := range r.workers {
		select {
		case <-w.Done():
			continue
		case <-r.hard.Done():
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
func (r *session) release() {
	if r.restorer != nil {
		r.restorer.Close()
	}
	if r.client != nil {
		r.client.Close()
	}
	if r.shared != nil {
		r.shared.Close()
	}
	if err := r.dir.Close(); err != nil {
		r.log.Warn("closing the state directory", "error", err)
	}
}

// statuses asks the workers what their tasks are doing. Workers that do not answer while ctx lasts are left out.
func (r *session) statuses(ctx context.Context) []worker.Status {
	var all []worker.Status
	for _, w := range r.workers {
		status, err := w.Status(ctx)
		if err == nil {
			all = append(all, status...)
		}
	}
	return all
}
