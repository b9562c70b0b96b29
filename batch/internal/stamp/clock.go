package stamp

import (
	"time"

	"github.com/millrace-streams/millrace/batch/internal/wire"
)

// clock knows which batch is open in a stamping task, and which boundaries have passed.
// It never goes back.
//
// By arrival, the wall clock moves it, and one batch takes records. By record time, the
// timestamps of records less the grace move it, and every batch from the oldest open one
// on takes records.
type clock struct {
	interval int64 // ms
	open     int64 // start of the oldest open batch: the end of the last closed one
	end      int64 // end of that batch
	used     int64 // end of the last batch that has a record
	last     time.Time

	// by is the interval from which end follows. It differs from interval while the batch
	// is open that was open when the program changed the interval.
	by int64
}

// patience is the number of intervals by which a boundary may be late, or the wall clock
// may jump, before the time in between is a gap.
const patience = 2

// begin opens the first batch of a new task: the batch at time t (ms). It returns the
// span before that batch.
func (c *clock) begin(t int64) wire.Span {
	c.open, c.by = floor(max(t, 0), c.interval), c.interval
	c.end = c.open + c.interval
	return wire.Span{To: c.open}
}

// resume continues with the batch that starts at open.
func (c *clock) resume(open, by, used int64) {
	c.open, c.end, c.by, c.used = open, next(open, by), by, used
}

// pass closes the batches that have ended by t, and returns them in order.
//
// With gap, only the batches that may have records are live. The time after them is one
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
	c.used = max(c.used, c.end) // the task has run in this batch
	return c.pass(t, jumped(last, now, patience*c.interval))
}

// far reports whether t is so far beyond the oldest open batch that the time in between
// is a gap.
func (c *clock) far(t int64) bool { return t-c.end > patience*c.interval }

// take puts a record into the open batch.
func (c *clock) take() wire.Span {
	c.used = max(c.used, c.end)
	return wire.Span{From: c.open, To: c.end}
}

// takeAt puts a record into the batch of its timestamp, unless that batch is closed.
func (c *clock) takeAt(t int64) (b wire.Span, ok bool) {
	b = wire.Span{From: floor(t, c.interval), To: next(t, c.interval)}
	if b.To <= c.open {
		return b, false
	}
	c.used = max(c.used, b.To)
	return b, true
}

// jumped reports whether the wall clock went forward by more than limit ms beyond the
// time that has really passed. The monotonic clock tells that time. Without one, as in a
// test driver, no time has passed.
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
