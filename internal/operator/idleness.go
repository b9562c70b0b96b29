package operator

import (
	"math"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// idleness moves the stream time of a windowed aggregation on while its inputs are idle,
// so that windows close without new records. Stream time goes on from where the last
// record has left it, as fast as the wall clock. It stops when the last window with a row
// is closed: beyond that nothing waits, and records that come later should not be late.
//
// A punctuator or a flush in front of the aggregation may send it records although its
// inputs are idle. Such a record begins the time anew.
type idleness struct {
	clock *clock
	after time.Duration
	last  func() int64 // the end of the last window that ever had a row
	delay int64        // how long after its end a window is closed

	inputs  time.Time           // the beginning of the idle time of the inputs
	since   time.Time           // the same, or the time of a record after it
	from    processor.Timestamp // stream time at since
	reached processor.Timestamp // stream time after the last call
}

// closesWhenIdle makes an aggregation close its windows while its inputs are idle, for at
// least after. close sends the rows that are closed, and reports whether there were any.
func (c *clock) closesWhenIdle(t graph.Task, n *graph.Node, delay int64, last func() int64, close func() (sent bool, err error)) {
	if n.IdleAfter == 0 {
		return
	}
	i := &idleness{clock: c, after: n.IdleAfter, last: last, delay: delay}
	t.OnIdle(n, func(idle graph.Idle) (worked bool, err error) {
		if !i.advance(idle) {
			return false, nil
		}
		return close()
	})
}

// advance reports whether stream time has moved.
func (i *idleness) advance(idle graph.Idle) (moved bool) {
	newest := *i.clock.newest
	switch {
	case !idle.Since.Equal(i.inputs):
		i.inputs, i.since, i.from = idle.Since, idle.Since, newest
	case newest != i.reached:
		i.since, i.from = idle.Until, newest
	}
	i.reached = newest
	passed, end := idle.Until.Sub(i.since), i.last()
	if passed < i.after || i.from < 0 || end < 0 || end > math.MaxInt64-i.delay {
		return false
	}
	to := min(i.from+processor.Timestamp(passed.Milliseconds()), processor.Timestamp(end+i.delay))
	if to <= newest {
		return false
	}
	i.clock.input = nil // the time is not that of one input
	i.clock.advance(to)
	i.reached = to
	return true
}

// endOfLast returns the end of the window with the largest start, -1 if there is none.
func endOfLast(start, size int64) int64 {
	if start < 0 || start > math.MaxInt64-size {
		return -1
	}
	return start + size
}

// sendDue sends the rows of the windows that are closed at a stream time, and reports
// whether there were any.
func (c *closing[K, A]) sendDue(streamTime processor.Timestamp) (sent bool, err error) {
	if !c.due(streamTime) {
		return false, nil
	}
	return true, c.send(streamTime, nil)
}

// due reports whether a window with a row is closed at a stream time. It may be true for
// a session that has grown since.
func (c *closing[K, A]) due(streamTime processor.Timestamp) bool {
	if c == nil {
		return false
	}
	at, _, ok := c.index.First()
	return ok && at <= c.ending(int64(streamTime)-c.delay)
}
