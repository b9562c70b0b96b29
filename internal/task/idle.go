package task

import "time"

// waitsFor reports whether the task must not choose a record while the queue, which is
// empty, gets none: its partition has more, or it has been caught up for less than
// Config.Idle. The time counts from the first choice that found the queue caught up, so a
// partition that stays quiet delays the others once, and not at each record.
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

// idles reports whether Config.Idle has not passed yet for a queue that is caught up.
func (t *Task) idles(q *queue) bool {
	return q.empty() && !q.caughtUp.IsZero() && t.now.Before(q.caughtUp.Add(t.cfg.Idle))
}

// IdleUntil returns when Process has to be called again although nothing has come: the
// task has records and waits for a partition that is caught up. ok is false if it does
// not wait for such a partition.
func (t *Task) IdleUntil() (until time.Time, ok bool) {
	return t.idleUntil, !t.idleUntil.IsZero()
}
