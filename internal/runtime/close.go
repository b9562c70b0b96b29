package runtime

import (
	"github.com/millrace-streams/millrace/internal/membership"
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
	again := r.continues()
	if !again {
		r.cfg.Events.State(Closing)
	}
	r.starter.refuse()
	r.stop()

	r.ending.Step("the restore of tasks, or a hook that is told of it")
	r.starter.wait()
	r.ending.Step("user code or commits of workers")
	r.group.end(r.tasks.ids(), false)
	r.leave(again)
	r.ending.Step("user code or commits of workers")
	for _, w := range r.workers {
		w.Stop()
	}
	for _, w := range r.workers {
		<-w.Done()
	}
	if again && !r.continues() {
		again = false
		r.giveUpPlace()
	}
	r.kill()
	r.ending.Step("background work")
	r.background.Wait()
	r.ending.Step("the processor of a global store")
	r.globals.close()
	r.ending.Step("databases and connections, which are being closed")
	r.databases.closeUnused()
	// If the context ends from here on, the next run gives up the place.
	r.again = again && r.failureSoFar() == nil
	r.release()
	return r.failureSoFar()
}

// leave ends the membership. With Config.Stay, and if another run continues, the group
// reserves the place of this process.
func (r *Run) leave(again bool) {
	joined := r.member.membership()
	if joined == nil {
		if !again {
			r.giveUpPlace()
		}
		return
	}
	r.ending.Step("the group")
	r.place = again
	if err := joined.Stop(r.hard, !r.cfg.Stay && !again); err != nil {
		r.log.Warn("could not end the membership", "error", err)
	}
}

// giveUpPlace leaves the group for a run that has not joined it. The group may have
// reserved the place of the process, because a run before it has kept the place.
func (r *Run) giveUpPlace() {
	if !r.place || r.cfg.Stay || r.client == nil {
		return
	}
	r.ending.Step("the group")
	r.ending.Begin()
	if err := membership.Leave(r.hard, r.client, r.cfg.ApplicationID, r.dir.ProcessID()); err != nil {
		r.log.Warn("could not leave the group", "error", err)
	}
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
