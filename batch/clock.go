package batch

import (
	"time"

	"github.com/millrace-streams/millrace/batch/internal/wire"
)

// clock says which batch is open in a stamping task, and which boundaries have been
// passed. It never goes back.
//
// It is moved by the wall clock or, with batches by record time, by the timestamps of
// records less the grace; then more batches than the oldest one take records.
type clock struct {
	interval int64 // ms
	open     int64 // start of the oldest open batch, which is the end of the last closed one
	end      int64 // end of that batch
	by       int64 // the interval that end follows from: an older one until the batch is closed that was open when it changed
	used     int64 // end of the last batch that a record was put into
	last     time.Time
}

// patience is how many intervals a boundary may be late, or the clock may jump, before
// what lies in between is a gap.
const patience = 2

// begin opens the first batch that this task has ever had, the one at time t (ms).
func (c *clock) begin(t int64) wire.Span {
	c.open, c.by = floor(max(t, 0), c.interval), c.interval
	c.end = c.open + c.interval
	return wire.Span{To: c.open}
}

// resume goes on with the batch that starts at open. by is the interval that its end
// follows from, and used what it was.
func (c *clock) resume(open, by, used int64) {
	c.open, c.end, c.by, c.used = open, next(open, by), by, used
}

// pass closes the batches that ended by t and returns them, one after the other. With gap
// only those that may have records give a result for sure; what comes after them is one
// span in which nothing ran.
func (c *clock) pass(t int64, gap bool) (passed []wire.Span) {
	for t >= c.end {
		one := wire.Span{From: c.open, To: c.end, Live: !gap || c.end <= c.used}
		if latest := floor(t, c.interval); !one.Live && latest > one.To {
			one.To = latest
		}
		passed = append(passed, one)
		c.open = one.To
		c.end, c.by = next(c.open, c.interval), c.interval
	}
	return passed
}

// arrived moves to the time now of the wall clock, after a start or while the task runs.
func (c *clock) arrived(now time.Time, starting bool) []wire.Span {
	t, last := now.UnixMilli(), c.last
	c.last = now
	switch {
	case t < c.end:
		return nil
	case starting:
		return c.pass(t, c.far(t))
	}
	c.used = max(c.used, c.end) // this task ran in it
	return c.pass(t, jumped(last, now, patience*c.interval))
}

// far reports whether t is so far beyond the oldest open batch that what lies between is
// a gap.
func (c *clock) far(t int64) bool { return t-c.end > patience*c.interval }

// take puts a record into the open batch.
func (c *clock) take() wire.Span {
	c.used = max(c.used, c.end)
	return wire.Span{From: c.open, To: c.end}
}

// takeAt puts a record into the batch of its timestamp, unless that is closed.
func (c *clock) takeAt(t int64) (b wire.Span, ok bool) {
	b = wire.Span{From: floor(t, c.interval), To: next(t, c.interval)}
	if b.To <= c.open {
		return b, false
	}
	c.used = max(c.used, b.To)
	return b, true
}

// jumped reports whether the wall clock went forward by more than limit ms beyond the
// time that really passed. Where that is not known, as in a test driver, no time has.
func jumped(last, now time.Time, limit int64) bool {
	wall := now.UnixMilli() - last.UnixMilli()
	if monotonic(last) && monotonic(now) {
		wall -= now.Sub(last).Milliseconds()
	}
	return wall > limit
}

// monotonic reports whether t has a reading of the monotonic clock, which Round strips.
func monotonic(t time.Time) bool { return t != t.Round(0) }

func floor(t, interval int64) int64 { return t / interval * interval }

// next returns the first boundary after t.
func next(t, interval int64) int64 { return floor(t, interval) + interval }
