package topology

import (
	"math"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// noTime says that no call of a processor is running.
const noTime = math.MinInt64

// timeBetweenRecords is the time of Init and Flush: stream time or, before the first
// record, the wall clock.
func timeBetweenRecords(t graph.Task) processor.Timestamp {
	if at := t.StreamTime(); at >= 0 {
		return at
	}
	return max(processor.TimestampOf(t.Now()), 0)
}
