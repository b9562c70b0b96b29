package serde

import (
	"fmt"
	"time"
)

// Window is a span of event time. Start is inclusive. End is exclusive for time windows, and for session windows it is the timestamp
// of the last record, so inclusive. Both are in milliseconds since the Unix epoch, and an End of math.MaxInt64 has no end.
type Window struct {
	Start, End int64
}

// StartTime returns Start as a time in UTC.
func (w Window) StartTime() time.Time { return time.UnixMilli(w.Start).UTC() }

// EndTime returns End as a time in UTC.
func (w Window) EndTime() time.Time { return time.UnixMilli(w.End).UTC() }

// String returns start and end in milliseconds, as in 0/60000.
func (w Window) String() string { return fmt.Sprintf("%d/%d", w.Start, w.End) }

// Windowed is a key in one window: the key of the results of a windowed aggregation.
type Windowed[K any] struct {
	Key K
	Window
}

// String returns the form that Kafka Streams prints, as in [alice@0/60000].
func (w Windowed[K]) String() string { return fmt.Sprintf("[%v@%v]", w.Key, w.Window) }
