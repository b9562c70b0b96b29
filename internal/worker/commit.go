package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/txn"
)

// commitIfDue commits if there is something to commit and one of these is true:
//
//   - CommitInterval has passed.
//   - A task or the memory asks for a commit.
//   - Somebody waits for what was processed, and there is nothing else to do.
func (w *Worker) commitIfDue(worked bool) {
	dirty, urgent := w.uncommitted()
	if !dirty {
		w.dirtySince = time.Time{}
		return
	}
	now := time.Now()
	if w.dirtySince.IsZero() {
		w.dirtySince = now
	}
	if urgent || !now.Before(w.commitAt(!worked && w.awaited)) {
		w.commit()
	}
}

// uncommitted reports whether there is something to commit, and whether that is urgent.
// It sets awaited. Somebody waits for what the producer has sent without a task of its
// own: a task has left, and its records are in the transaction.
func (w *Worker) uncommitted() (dirty, urgent bool) {
	w.awaited, urgent = false, w.overdue() || w.pace.left() == 0
	for _, t := range w.tasks {
		if t.run == nil || !t.run.Dirty() {
			continue
		}
		dirty = true
		w.awaited = w.awaited || t.run.Awaited()
		urgent = urgent || t.run.CommitRequested() || t.Budget.Over()
	}
	if !dirty && (w.producer.InTransaction() || w.producer.Produced() > 0) {
		dirty, w.awaited = true, true
	}
	return dirty, urgent
}

// overdue reports that the open transaction must be committed before any other work. The
// broker aborts it when it is twice as old.
func (w *Worker) overdue() bool {
	begun := w.producer.Started()
	return !begun.IsZero() && time.Since(begun) >= max(w.cfg.CommitInterval, w.cfg.TransactionTimeout/4)
}

// commitAt returns when uncommitted work must be committed: early, if somebody waits for
// it and the worker is idle, but not so often that commits themselves become a load.
func (w *Worker) commitAt(early bool) time.Time {
	at := w.dirtySince.Add(w.cfg.CommitInterval)
	if soon := w.lastCommit.Add(w.cfg.CommitInterval / idleShare); early && soon.Before(at) {
		return soon
	}
	return at
}

// commit commits the work of all tasks, or reverts it.
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
		w.commitFailed(report.Err)
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

// commitAtLeastOnce applies the tasks' changes before the offsets are committed. After a
// crash in between, records are processed again.
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

// aheadError says that the local state is ahead of the committed offsets. The worker's
// own record of the offsets is then useless.
type aheadError struct{ error }

func (e *aheadError) Unwrap() error { return e.error }

// unfinishedError says that a step after a commit failed: the disk could not be written
// and is now behind Kafka, or user code that was told about the commit has panicked. A
// restart catches the disk up.
type unfinishedError struct{ error }

func (e *unfinishedError) Unwrap() error { return e.error }

// finish finishes the commit of all tasks, even if one of them fails, because the commit
// has happened in Kafka.
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
		return &unfinishedError{fmt.Errorf("finish a commit: %w", err)}
	}
	return nil
}

// commitFailed continues after a failed commit.
func (w *Worker) commitFailed(err error) {
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

// fencedPause gives the group time to revoke the tasks. If it does not, they still belong
// to this process, and are restored.
const fencedPause = 500 * time.Millisecond

// crash gives up all tasks as if the process had died. They are restored from Kafka.
func (w *Worker) crash(pause time.Duration) {
	w.backOff()
	w.abort()
	w.crashed = append(w.crashed, w.tasks...)
	w.tasks = nil
	w.crashAt = time.Now().Add(pause)
}
