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

// adopt takes a task. It opens the task as soon as there is a producer.
func (w *Worker) adopt(t *Task) {
	w.tasks = append(w.tasks, t)
	if w.producer != nil && !w.failed {
		w.open(t)
	}
}

// open makes a task from its last committed state. The task reads its input from the
// committed offsets.
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
		ApplicationID: w.cfg.ApplicationID, Graph: w.cfg.Graph, Globals: w.cfg.Globals, ID: t.Info, Inputs: inputs, Fresh: fresh,
		DB: t.DB, Budget: t.Budget, Out: &outbox{w: w, t: t}, Policy: w.cfg.Policy, Done: w.cfg.Fetcher.recycle,
		EveryUpdate: w.cfg.EveryUpdate, Combine: w.cfg.Combine, Logger: w.cfg.Logger.With("task", t.ID.String()),
		Observer: w.cfg.Host.Observer(t), Memory: t.Memory, Context: w.ctx, Now: time.Now(),
		Sleep: backoff.Sleep, Idle: w.idle(),
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

// idle is how long tasks wait for records of partitions that are caught up. A repetition
// does not wait: its records were chosen before.
func (w *Worker) idle() time.Duration {
	if w.last != nil {
		return 0
	}
	return w.cfg.TaskIdle
}

// drop ends tasks. It commits first, unless the tasks are lost.
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

// dropAll ends all tasks. Uncommitted work is aborted.
func (w *Worker) dropAll() {
	w.abort()
	for _, t := range slices.Concat(w.tasks, w.crashed) {
		w.end(t)
	}
	w.tasks, w.crashed = nil, nil
}

func (w *Worker) end(t *Task) {
	if err := t.close(); err != nil {
		w.cfg.Logger.Warn("cannot close a task", "task", t.ID.String(), "error", err)
	}
	w.cfg.Host.Dropped(t)
}

// abort aborts the open transaction and closes all tasks: all of them take part in it.
func (w *Worker) abort() {
	w.dirtySince = time.Time{}
	w.pace.done = 0
	if w.producer != nil {
		if err := w.producer.Abort(w.ctx); err != nil {
			w.cfg.Logger.Warn("cannot abort the transaction; a new producer ends it", "worker", w.cfg.Index, "error", err)
		}
	}
	for _, t := range w.tasks {
		w.keepTimes(t)
		if err := t.close(); err != nil {
			w.cfg.Logger.Warn("cannot close a task", "task", t.ID.String(), "error", err)
		}
	}
	w.releaseOutputs()
}

// releaseOutputs releases the records of the transaction, and closes a dead producer.
func (w *Worker) releaseOutputs() {
	if w.producer == nil || w.producer.Dead() || !w.cfg.Transactional {
		// The client may still hold the records, so their memory is not used again.
		w.outputs = outputs{}
	} else {
		w.outputs.reset()
	}
	if w.producer != nil && w.producer.Dead() {
		w.closeProducer()
	}
}

// closeProducer closes the producer, if there is one. Nothing is processed until there is
// a new one.
func (w *Worker) closeProducer() {
	if w.producer != nil {
		w.producer.Close()
		w.producer = nil
	}
}

// reopen opens the tasks that are closed. Without a producer it does nothing:
// renewProducer calls it again.
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

// initTimeout bounds one try to initialise a producer. During the try the worker takes no
// commands.
const initTimeout = 10 * time.Second

// renewProducer makes a producer if there is none. Initialising it decides the outcome of
// every transaction that this worker, or an earlier owner of its transactional ID, has
// left open.
func (w *Worker) renewProducer() {
	if w.producer != nil || w.failed || w.stopping || time.Now().Before(w.retryAt) {
		return
	}
	p, err := w.cfg.NewProducer(&w.caution)
	if err != nil { // nothing was sent, so the configuration is wrong
		w.fail(fmt.Errorf("making a producer: %w", err))
		return
	}
	ctx, cancel := context.WithTimeout(w.ctx, initTimeout)
	defer cancel()
	if err := p.Init(ctx); err != nil {
		p.Close()
		w.cfg.Logger.Warn("cannot initialise the producer; trying again", "worker", w.cfg.Index, "error", err)
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

// returnCrashed returns the crashed tasks to the host once there is a new producer: the
// outcome of their transaction is then decided.
func (w *Worker) returnCrashed() {
	if len(w.crashed) == 0 || w.producer == nil || time.Now().Before(w.crashAt) {
		return
	}
	tasks := w.crashed
	w.crashed = nil
	w.cfg.Host.Restore(tasks)
}

// retries are the pauses after failed commits and failed tries to make a producer.
var retries = backoff.Backoff{First: 20 * time.Millisecond, Last: 2 * time.Second}

// backOff delays the next try after a failure. The delay grows with the number of
// failures in a row.
func (w *Worker) backOff() {
	w.failures++
	w.retryAt = time.Now().Add(retries.Delay(w.failures))
}

// taskFailed reacts to a task's error.
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
	w.cfg.Logger.Info("aborting the transaction to replay its records", "task", t.ID.String(), "error", replay.Err)
	w.abort()
	w.reopen()
}

// rewind reopens all tasks after the log of an input was cut off. The uncommitted records
// that were read of it may no longer exist.
//
// If nothing of the input was read since the last commit, the task continues at b.next,
// which the host has chosen. Otherwise it continues at its last commit. If that offset is
// beyond the end too, the fetcher reports it, and the host chooses again.
func (w *Worker) rewind(t *Task, b *batch) {
	if w.last != nil {
		w.fail(w.last.err)
		return
	}
	i := t.feed(b.feed)
	w.cfg.Logger.Warn("the log of an input ends earlier than before; aborting the transaction and reading the input again", "task", t.ID.String(), "topic", b.feed.Topic, "partition", b.feed.Partition,
		"position", b.position, "next", b.next)
	w.abort()
	in := &t.Inputs[i]
	if in.End = -1; in.Offset >= b.position {
		// Fresh makes the task commit the offset at once. Without that commit, a later
		// start could find the old offset within the log again, and skip records.
		in.Offset, in.Fresh = b.next, true
	}
	w.reopen()
}

// fail ends this worker's work, and the application.
func (w *Worker) fail(err error) {
	if w.failed {
		return
	}
	w.failed = true
	w.abort()
	w.cfg.Host.Fail(err)
}
