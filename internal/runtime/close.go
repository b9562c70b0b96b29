package runtime

import (
	"github.com/millrace-streams/millrace/internal/shutdown"
)

// close ends the run. It stops starting work, finishes and commits the records in
// progress, leaves the group, and closes everything. It returns the failure that ended
// the run, if any.
//
// close itself waits without a limit. Run waits for close no longer than
// Config.CloseTimeout. If user code is stuck, its databases stay open, and the directory
// stays locked, until it returns.
func (r *Run) close() error {
	r.ending.Step("a hook that is told that the application closes")
	if !r.continues() {
		r.cfg.Events.State(Closing)
	}
	r.starter.refuse()
	r.stop()

	r.ending.Step("the restore of tasks, or a hook that is told of it")
	r.starter.wait()
	r.ending.Step("user code or commits of workers")
	r.group.end(r.tasks.ids(), false)
	r.group.leave(r.hard)
	r.ending.Step("user code or commits of workers")
	for _, w := range r.workers {
		w.Stop()
	}
	for _, w := range r.workers {
		<-w.Done()
	}
	r.kill()
	r.ending.Step("background work")
	r.background.Wait()
	r.ending.Step("the processor of a global store")
	r.globals.close()
	r.ending.Step("databases and connections, which are being closed")
	r.databases.closeUnused()
	r.again = r.continues()
	r.release()
	return r.failureSoFar()
}

// warnOfLate logs what Run no longer waits for.
func (r *Run) warnOfLate(late *shutdown.LateError) {
	log := r.cfg.Logger.With("application", r.cfg.ApplicationID)
	log.Error("closing takes longer than CloseTimeout", "limit", late.Limit, "waiting_for", late.Step)
	if !r.started.Load() { // the start is stuck
		return
	}
	for i, w := range r.workers {
		select {
		case <-w.Done():
		default:
			log.Error("a worker is stuck", "worker", i, "stack", w.Stack())
		}
	}
}

// release closes what prepare and assemble have opened. A run that continues in place of
// this one takes the state directory over.
func (r *Run) release() {
	if r.restorer != nil {
		r.restorer.Close()
	}
	if r.client != nil {
		r.client.Close()
	}
	if r.shared != nil {
		r.shared.Close()
	}
	if r.again {
		return
	}
	if err := r.dir.Close(); err != nil {
		r.log.Warn("could not close the state directory", "error", err)
	}
}
