package worker

import (
	"errors"
	"time"

	"github.com/millrace-streams/millrace/processor"
)

// last is the end of a worker whose task has failed at a record: what was processed before that record is processed once more and committed, so that
// a restart resumes there, and not a commit interval earlier.
type last struct {
	err   error
	left  map[*Task]int // records to be processed
	until time.Time
}

// lastTimeout bounds the repetition. After it the application fails without that commit, which is as correct.
const lastTimeout = 5 * time.Second

// failAfter fails because of a task's error, after a commit of what was processed before.
func (w *Worker) failAfter(t *Task, err error) {
	var at *processor.Error
	if !errors.As(err, &at) || at.Topic == "" || !w.cfg.Transactional {
		w.fail(err)
		return
	}
	l := &last{err: err, left: map[*Task]int{}, until: time.Now().Add(lastTimeout)}
	for _, mine := range w.tasks {
		n := int(mine.records)
		if mine == t {
			n-- // the failed one
		}
		l.left[mine] = max(n, 0)
	}
	w.abort()
	w.last = l
	w.reopen()
}

// finishLast commits and fails as soon as there is nothing left to repeat. It reports whether it did.
func (w *Worker) finishLast() bool {
	for _, t := range w.tasks {
		if w.last.left[t] > 0 && time.Now().Before(w.last.until) {
			return false
		}
	}
	w.commit()
	w.fail(w.last.err)
	return true
}
