package operator

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// clock is the stream time of a windowed aggregation.
//
// In a cogroup, each input has a stream time of its own, by which its records are late. A
// slow input does not lose records because another input is ahead. The rows in the store
// expire by the newest time of all inputs, and are kept for the lag longer than one input
// needs them. A record is therefore also late if its input is behind by more than the
// lag.
type clock struct {
	newest *processor.Timestamp // largest timestamp of all records; committed
	late   processor.Timestamp  // the time by which the current record may be late
	lag    int64                // ms

	// input is the stream time of the input of the current record. It is nil if the
	// aggregation is no cogroup.
	input *processor.Timestamp

	// one says that all inputs share one time: a row behind the aggregation is sent once,
	// when its window is closed.
	one bool
}

// openClock returns the clock of a node. lost is a stream time that the node had reached
// before its committed time was lost, or -1.
func openClock(t graph.Task, n *graph.Node, lost, lag int64) clock {
	c := clock{newest: t.Time(n.Name), lag: lag, one: n.OneClock}
	*c.newest = max(*c.newest, processor.Timestamp(lost))
	return c
}

// advance moves stream time to that of a record. The caller does so before it decides
// whether the record is late.
func (c *clock) advance(at processor.Timestamp) {
	*c.newest = max(*c.newest, at)
	c.late = *c.newest
	if c.input == nil {
		return
	}
	*c.input = max(*c.input, at)
	if !c.one {
		c.late = max(*c.input, *c.newest-processor.Timestamp(c.lag))
	}
}

// openSince returns a time. All windows with an earlier one are closed, however long the
// grace is, because their rows, or rows that theirs are made of, were deleted before the
// store was opened. gone is that of the store, and reach how far the rows that a row is
// made of can lie before it.
func openSince(gone, reach int64) int64 {
	if gone <= 0 {
		return 0
	}
	return engine.Later(gone, reach)
}

// clocked is an aggregation that has a clock.
type clocked interface{ ownClock() *clock }

func (c *clock) ownClock() *clock { return c }
