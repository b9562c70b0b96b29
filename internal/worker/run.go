package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/txn"
)

// adopt takes a task and, as soon as there is a producer, runs it.
func (w *Worker) adopt(t *Task) {
	w.tasks = append(w.tasks, t)
	if w.producer != nil && !w.failed {
		w.open(t)
	}
}

// open makes a task anew from its last committed state and reads its input from the
// offsets that go with it.
func (w *Worker) open(t *Task) {
	inputs := make([]task.Committed, len(t.Inputs))
	var fresh []task.Partition
	for i, in := range t.Inputs {
		inputs[i] = in.Committed
		if in.Fresh {
			fresh = append(fresh, task.Partition{Topic: in.Topic, Partition: in.Partition})
		}
	}
	run, err := task.New(task.Config{
		ApplicationID: w.cfg.ApplicationID, Graph: w.cfg.Graph, ID: t.Info, Inputs: inputs, Fresh: fresh, DB: t.DB, Budget: t.Budget,
		Out: &outbox{w: w, t: t}, Policy: w.cfg.Policy, EveryUpdate: w.cfg.EveryUpdate, Logger: w.cfg.Logger.With("task", t.ID.String()), Observer: w.cfg.Host.Observer(t),
		Memory: t.Memory, Context: w.ctx, Now: time.Now(), Sleep: backoff.Sleep, Idle: w.idle(),
	})
	if err != nil {
		w.taskFailed(t, err)
		return
	}
	t.run = run
	if w.last != nil {
		w.last.opened(t)
	}
	for _, in := range t.Inputs {
		run.SetEnd(in.Topic, in.Partition, in.End)
		t.feeds = append(t.feeds, w.cfg.Fetcher.open(in.Topic, in.Partition, in.Offset, w.inbox))
	}
}

// idle is how long tasks wait for partitions that are caught up. A repetition does not
// wait: it processes records that have been chosen before.
func (w *Worker) idle() time.Duration {
	if w.last != nil {
		return 0
	}
	return w.cfg.TaskIdle
}

// drop ends tasks, after a commit if they are still the process's own.
func (w *Worker) drop(tasks []*Task, lost bool) {
	if slices.ContainsFunc(tasks, w.has) {
		if lost {
			w.abort()
		} else {
			w.commit()
		}
	}
	gone := func(t *Task) bool {
		if !slices.Contains(tasks, t) {
			return false
		}
		t.Rested = !lost && w.failures == 0 && t.run != nil && !t.run.Dirty()
		w.end(t)
		return true
	}
	w.tasks = slices.DeleteFunc(w.tasks, gone)
	w.crashed = slices.DeleteFunc(w.crashed, gone)
	if lost {
		w.reopen()
	}
}

// dropAll ends all tasks as they are.
func (w *Worker) dropAll() {
	w.abort()
	for _, t := range slices.Concat(w.tasks, w.crashed) {
		w.end(t)
	}
	w.tasks, w.crashed = nil, nil
}

func (w *Worker) end(t *Task) {
	if err := t.close(); err != nil {
		w.cfg.Logger.Warn("closing a task", "task", t.ID.String(), "error", err)
	}
	w.cfg.Host.Dropped(t)
}

// abort drops the open transaction and closes the tasks that took part in it, which is
// all of them.
func (w *Worker) abort() {
	w.dirtySince = time.Time{}
	w.pace.done = 0
	if w.producer != nil {
		if err := w.producer.Abort(w.ctx); err != nil {
			w.cfg.Logger.Warn("aborting a transaction", "worker", w.cfg.Index, "error", err)
		}
	}
	for _, t := range w.tasks {
		w.keepTimes(t)
		if err := t.close(); err != nil {
			w.cfg.Logger.Warn("closing a task", "task", t.ID.String(), "error", err)
		}
	}
	w.releaseOutputs()
}

// releaseOutputs forgets what the transaction has sent, and replaces a producer that is
// dead.
func (w *Worker) releaseOutputs() {
	if w.producer == nil || w.producer.Dead() || !w.cfg.Transactional {
		// The client may still hold the records.
		w.outputs = outputs{}
	} else {
		w.outputs.reset()
	}
	if w.producer != nil && w.producer.Dead() {
		w.closeProducer()
	}
}

// closeProducer closes the producer, if there is one. Another one is made before anything
// else is processed.
func (w *Worker) closeProducer() {
	if w.producer != nil {
		w.producer.Close()
		w.producer = nil
	}
}

// reopen runs the tasks that are closed. Without a producer that is done when there is
// one.
func (w *Worker) reopen() {
	if w.producer == nil || w.failed {
		return
	}
	for _, t := range slices.Clone(w.tasks) {
		if t.run == nil && !w.failed {
			w.open(t)
		}
	}
}

// initTimeout bounds one try to initialise a producer: until then the worker hears no
// commands.
const initTimeout = 10 * time.Second

// renewProducer makes a producer if there is none. When it is initialised, the outcome of
// everything that this worker, or the one that had its transactional ID before, has left
// behind is decided.
func (w *Worker) renewProducer() {
	if w.producer != nil || w.failed || w.stopping || time.Now().Before(w.retryAt) {
		return
	}
	p, err := w.cfg.NewProducer(&w.caution)
	if err != nil { // nothing was sent: it is the configuration
		w.fail(fmt.Errorf("making a producer: %w", err))
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, initTimeout)
	defer cancel()
	if err := p.Init(ctx); err != nil {
		p.Close()
		w.cfg.Logger.Warn("no producer yet; trying again", "worker", w.cfg.Index, "error", err)
		w.backOff()
		if permanent(err) {
			w.fail(err)
		}
		return
	}
	w.producer = p
	w.reopen()
}

func permanent(err error) bool {
	var e *txn.Error
	return errors.As(err, &e) && e.Permanent()
}

// returnCrashed gives the crashed tasks back, when the outcome of their transaction is
// decided.
func (w *Worker) returnCrashed() {
	if len(w.crashed) == 0 || w.producer == nil || time.Now().Before(w.crashAt) {
		return
	}
	tasks := w.crashed
	w.crashed = nil
	w.cfg.Host.Restore(tasks)
}

// retries are of commits that did not come through, and of producers that cannot be made.
var retries = backoff.Backoff{First: 20 * time.Millisecond, Last: 2 * time.Second}

// backOff makes the worker wait before it tries again what has just failed; the longer,
// the more often it has failed in a row.
func (w *Worker) backOff() {
	w.failures++
	w.retryAt = time.Now().Add(retries.Delay(w.failures))
}

// taskFailed carries out what a task's error means.
func (w *Worker) taskFailed(t *Task, err error) {
	var replay *task.ReplayError
	switch {
	case w.last != nil:
		w.failEarlier(t, err)
		return
	case !errors.As(err, &replay):
		w.failAfter(t, err)
		return
	}
	w.cfg.Logger.Info("aborting to replay", "task", t.ID.String(), "error", replay.Err)
	w.abort()
	w.reopen()
}

// rewind makes the tasks anew after the log of an input was cut off: what was read of it
// and is not committed has never been. Where nothing of that was read, the task goes on
// where the host says; else at its last commit, about which the host is asked again if
// that is beyond the end too.
func (w *Worker) rewind(t *Task, b *batch) {
	if w.last != nil {
		w.fail(w.last.err)
		return
	}
	i := t.feed(b.feed)
	w.cfg.Logger.Warn("the log of an input ends earlier than before; aborting to read it again", "task", t.ID.String(), "topic", b.feed.Topic, "partition", b.feed.Partition,
		"position", b.position, "next", b.next)
	w.abort()
	in := &t.Inputs[i]
	if in.End = -1; in.Offset >= b.position {
		// Committed at once: the old offset may be within the log again when it is looked
		// for next.
		in.Offset, in.Fresh = b.next, true
	}
	w.reopen()
}

// fail ends the work of this worker, and of the application.
func (w *Worker) fail(err error) {
	if w.failed {
		return
	}
	w.failed = true
	w.abort()
	w.cfg.Host.Fail(err)
}
