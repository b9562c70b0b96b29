package task

import "time"

// waitsFor reports whether the task must not choose a record while the given queue is
// empty: its partition has more records, or it was found empty less than Config.Idle ago.
// The time starts with the first choice that found the queue empty. A quiet partition
// therefore delays the others once, and not at each record.
func (t *Task) waitsFor(q *queue) bool {
	if q.lags() {
		q.caughtUp = time.Time{}
		return true
	}
	if t.cfg.Idle <= 0 {
		return false
	}
	if q.caughtUp.IsZero() {
		q.caughtUp = t.now
	}
	if !t.idles(q) {
		return false
	}
	if until := q.caughtUp.Add(t.cfg.Idle); until.After(t.idleUntil) {
		t.idleUntil = until
	}
	return true
}

// idles reports whether Config.Idle has not yet passed for an empty queue.
func (t *Task) idles(q *queue) bool {
	return q.empty() && !q.caughtUp.IsZero() && t.now.Before(q.caughtUp.Add(t.cfg.Idle))
}

// IdleUntil returns the time at which Process must be called again even without new
// records, because the task has records but waits for an empty partition. ok is false if
// it does not wait for one.
func (t *Task) IdleUntil() (until time.Time, ok bool) {
	return t.idleUntil, !t.idleUntil.IsZero()
}
