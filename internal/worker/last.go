package worker

import (
	"errors"
	"time"

	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/processor"
)

// last is the end of a worker whose task has failed at a record: what was processed
// before that record is processed once more and committed, so that a restart resumes
// there, and not a commit interval earlier.
//
// What the repetition commits may fail too, at another record. Of two changes of a row
// that are merged into one changelog record, the second is blamed first; if the row is
// refused after the first change as well, that one is blamed next. And another task may
// have a failing record of its own. Then the repetition begins anew, and stops before
// that record too.
type last struct {
	err   error
	stops map[*Task]map[task.Partition]int64 // offsets of failing records
	left  map[*Task]int                      // records to be processed
	until time.Time

	repetition int // counts them
}

// lastTimeout bounds the repetitions. After it the application fails without that commit,
// which is as correct.
const lastTimeout = 5 * time.Second

// failAfter fails because of a task's error, after a commit of what was processed before.
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

// failEarlier goes on with a repetition in which a task has failed, by another one that
// stops before that record. It fails for good if that is not possible.
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

// repeat begins the repetition anew. The transaction is about to be aborted.
func (l *last) repeat(tasks []*Task) {
	l.repetition++
	for _, t := range tasks {
		l.left[t] += int(t.records)
	}
}

// stopBefore adds a record to stop before. It returns false if its partition stops there
// already, or earlier.
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

// opened tells that a task was made anew.
func (l *last) opened(t *Task) {
	for p, offset := range l.stops[t] {
		t.run.StopBefore(p.Topic, p.Partition, offset)
	}
}

// of is how many records a task has left.
func (l *last) of(t *Task) int {
	if t.run != nil && t.run.Stopped() {
		return 0
	}
	return l.left[t]
}

func (l *last) processed(t *Task, n int) { l.left[t] -= n }

// finishLast commits and fails as soon as there is nothing left to repeat. It reports
// whether it did.
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
