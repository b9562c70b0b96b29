package worker

import (
	"errors"
	"time"

	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/processor"
)

// last is the end of a worker whose task has failed at a record. The records that were
// processed before it are processed once more and committed. A restart then resumes at
// the failing record, and not a commit interval earlier.
//
// The repetition may fail at another record:
//
//   - Two changes of a row are merged into one changelog record, and the broker refuses
//     it. The second change is blamed first. If the row is refused after the first change
//     too, that one is blamed next.
//   - Another task has a failing record of its own.
//
// The repetition then begins again, and stops before that record too.
type last struct {
	err   error
	stops map[*Task]map[task.Partition]int64 // offsets of failing records
	left  map[*Task]int                      // records to be processed
	until time.Time

	repetition int // number of repetitions so far
}

// lastTimeout bounds the repetitions. When it has passed, the application fails without
// that commit. This is just as correct.
const lastTimeout = 5 * time.Second

// failAfter commits the work before a failing record, and then fails with its error.
func (w *Worker) failAfter(t *Task, err error) {
	var at *processor.Error
	if !errors.As(err, &at) || at.Topic == "" {
		w.fail(err)
		return
	}
	l := &last{err: err, stops: map[*Task]map[task.Partition]int64{}, left: map[*Task]int{}, until: time.Now().Add(lastTimeout)}
	for _, mine := range w.tasks {
		l.left[mine] = int(mine.records)
	}
	l.stopBefore(t, at)
	w.abort()
	w.last = l
	w.reopen()
}

// failEarlier handles a failure during the repetition. The next repetition stops before
// that record. If that is not possible, the worker fails for good.
func (w *Worker) failEarlier(t *Task, err error) {
	var at *processor.Error
	if !errors.As(err, &at) || at.Topic == "" || time.Now().After(w.last.until) || !w.last.stopBefore(t, at) {
		w.fail(w.last.err)
		return
	}
	w.cfg.Logger.Info("committing up to another record that fails", "task", t.ID.String(), "error", err)
	w.last.repeat(w.tasks)
	w.abort()
	w.reopen()
}

// repeat begins the repetition again. The caller then aborts the transaction.
func (l *last) repeat(tasks []*Task) {
	l.repetition++
	for _, t := range tasks {
		l.left[t] += int(t.records)
	}
}

// stopBefore adds a record to stop before. It returns false if its partition already
// stops there or earlier.
func (l *last) stopBefore(t *Task, at *processor.Error) bool {
	if l.stops[t] == nil {
		l.stops[t] = map[task.Partition]int64{}
	}
	p := task.Partition{Topic: at.Topic, Partition: at.Partition}
	before, known := l.stops[t][p]
	if known && before <= at.Offset {
		return false
	}
	l.stops[t][p] = at.Offset
	var first *processor.Error
	if errors.As(l.err, &first) && first.Topic == at.Topic && first.Partition == at.Partition {
		l.err = at
	}
	return true
}

// opened prepares a task that was opened again: it stops before its failing records.
func (l *last) opened(t *Task) {
	for p, offset := range l.stops[t] {
		t.run.StopBefore(p.Topic, p.Partition, offset)
	}
}

// of returns how many records a task has left.
func (l *last) of(t *Task) int {
	if t.run != nil && t.run.Stopped() {
		return 0
	}
	return l.left[t]
}

func (l *last) processed(t *Task, n int) { l.left[t] -= n }

// finishLast commits and fails once nothing is left to repeat. It reports whether it did.
func (w *Worker) finishLast() bool {
	for _, t := range w.tasks {
		if w.last.of(t) > 0 && time.Now().Before(w.last.until) {
			return false
		}
	}
	repetition := w.last.repetition
	w.commit()
	if w.last.repetition == repetition {
		w.fail(w.last.err)
	}
	return true
}
