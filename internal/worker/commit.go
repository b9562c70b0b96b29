package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/txn"
)

// commitIfDue commits if there is something to commit and the interval has passed, if a
// task or the memory asks for it, or if there is nothing else to do.
func (w *Worker) commitIfDue(worked bool) {
	dirty, urgent := w.producer.InTransaction() || w.producer.Produced() > 0, w.overdue() || w.pace.left() == 0
	for _, t := range w.tasks {
		if t.run == nil || !t.run.Dirty() {
			continue
		}
		dirty = true
		urgent = urgent || t.run.CommitRequested() || t.Budget.Over()
	}
	if !dirty {
		w.dirtySince = time.Time{}
		return
	}
	now := time.Now()
	if w.dirtySince.IsZero() {
		w.dirtySince = now
	}
	if urgent || !now.Before(w.commitAt(worked)) {
		w.commit()
	}
}

// overdue says that the open transaction has to be committed before anything else is
// done: the broker aborts it when it is twice as old as it can get here.
func (w *Worker) overdue() bool {
	begun := w.producer.Started()
	return !begun.IsZero() && time.Since(begun) >= max(w.cfg.CommitInterval, w.cfg.TransactionTimeout/4)
}

// commitAt is when what is dirty now has to be committed. A worker that has nothing else
// to do commits early, though not so often that the commits themselves become a load.
func (w *Worker) commitAt(worked bool) time.Time {
	at := w.dirtySince.Add(w.cfg.CommitInterval)
	if worked {
		return at
	}
	if early := w.lastCommit.Add(w.cfg.CommitInterval / idleShare); early.Before(at) {
		return early
	}
	return at
}

// commit commits what all tasks have done, or makes them as if they had not done it.
func (w *Worker) commit() {
	if w.producer == nil || w.failed {
		return
	}
	begun := time.Now()
	report := Commit{Worker: w.cfg.Index}
	tasks, offsets, ok := w.begin()
	if !ok || !w.settled() {
		return
	}
	if len(tasks) == 0 && w.producer.Produced() == 0 && !w.producer.InTransaction() {
		return
	}
	for _, t := range tasks {
		report.Records += t.records
	}
	report.Tasks = len(tasks)
	if w.cfg.Transactional {
		report.Err = w.commitTransaction(tasks, offsets)
	} else {
		report.Err = w.commitAtLeastOnce(tasks, offsets)
	}
	w.dirtySince, w.lastCommit = time.Time{}, time.Now()
	report.Duration = w.lastCommit.Sub(begun)
	w.cfg.Host.Commit(report)
	if report.Err != nil {
		w.uncommitted(report.Err)
		return
	}
	w.failures = 0
	w.pace.committed()
	for _, t := range tasks {
		t.committed(w.lastCommit)
	}
}

// begin begins the commit of every task that has something to commit.
func (w *Worker) begin() (tasks []*Task, offsets []txn.OffsetCommit, ok bool) {
	for _, t := range w.tasks {
		if t.run == nil || !t.run.Dirty() {
			continue
		}
		w.watch.begin(t, time.Now())
		c, err := t.run.Begin()
		w.watch.end()
		if err != nil {
			w.taskFailed(t, err)
			return nil, nil, false
		}
		t.begun = c.Offsets
		tasks = append(tasks, t)
		for _, o := range c.Offsets {
			offsets = append(offsets, txn.OffsetCommit{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset, LeaderEpoch: -1, Metadata: o.Metadata})
		}
	}
	return tasks, offsets, true
}

// commitTransaction applies the tasks' changes only after Kafka has confirmed the
// transaction.
func (w *Worker) commitTransaction(tasks []*Task, offsets []txn.OffsetCommit) error {
	tasks, err := w.applyFirst(tasks)
	if err != nil {
		return err
	}
	result, err := w.producer.Commit(w.ctx, w.cfg.Identity(), offsets)
	if err != nil {
		return err
	}
	w.outputs.reset()
	return w.finish(tasks, result.Positions)
}

// commitAtLeastOnce applies the tasks' changes before the offsets are committed: a crash
// in between processes records again.
func (w *Worker) commitAtLeastOnce(tasks []*Task, offsets []txn.OffsetCommit) error {
	if err := w.producer.Flush(w.ctx); err != nil {
		return err
	}
	w.outputs.reset()
	if err := w.finish(tasks, w.producer.Flushed()); err != nil {
		return err
	}
	if err := w.producer.CommitOffsets(w.ctx, w.cfg.Identity(), offsets); err != nil {
		return &aheadError{err}
	}
	return nil
}

// aheadError says that the local state is ahead of the committed offsets, so the worker's
// own record of these is of no use.
type aheadError struct{ error }

func (e *aheadError) Unwrap() error { return e.error }

// unfinishedError says that what follows a commit went wrong: it could not be written to
// the disk, which is then behind Kafka, or user code that was told of it has panicked. A
// restart puts the disk right.
type unfinishedError struct{ error }

func (e *unfinishedError) Unwrap() error { return e.error }

// finish finishes the commit of all tasks, whatever becomes of one of them: for Kafka it
// has happened.
func (w *Worker) finish(tasks []*Task, positions map[string]map[int32]int64) error {
	var errs []error
	for _, t := range tasks {
		mine := map[string]int64{}
		for _, topic := range t.Changelogs {
			if next, ok := positions[topic][t.ID.Partition]; ok {
				mine[topic] = next
			}
		}
		errs = append(errs, t.run.Finish(mine))
	}
	if err := errors.Join(errs...); err != nil {
		return &unfinishedError{fmt.Errorf("finishing a commit: %w", err)}
	}
	return nil
}

// uncommitted goes on after a commit that did not come through.
func (w *Worker) uncommitted(err error) {
	w.cfg.Logger.Warn("commit failed", "worker", w.cfg.Index, "error", err)
	var unfinished *unfinishedError
	var refused *txn.RefusedError
	renew := false
	switch {
	case errors.As(err, &unfinished):
		w.fail(err)
		return
	case errors.As(err, &refused):
		renew = w.distrust(refused)
	case errors.Is(err, txn.ErrNarrow):
		renew = true
	case errors.Is(err, txn.ErrSlow):
		w.pace.slow()
	case permanent(err):
		w.fail(err)
		return
	}
	var ahead *aheadError
	switch outcome := txn.OutcomeOf(err); {
	case outcome == txn.Aborted && !errors.As(err, &ahead):
		w.backOff()
		if w.last != nil && time.Now().Before(w.last.until) {
			w.last.repeat(w.tasks)
		}
		w.abort()
		if renew {
			w.closeProducer()
		}
		w.reopen()
	case outcome == txn.Fenced:
		w.crash(fencedPause)
	default:
		w.crash(0)
	}
}

// fencedPause leaves the group the time to say what has become of the tasks. If it says
// nothing, they are still this process's, and are restored.
const fencedPause = 500 * time.Millisecond

// crash gives all tasks up as if the process had died, to be restored from what Kafka
// has.
func (w *Worker) crash(pause time.Duration) {
	w.backOff()
	w.abort()
	w.crashed = append(w.crashed, w.tasks...)
	w.tasks = nil
	w.crashAt = time.Now().Add(pause)
}
