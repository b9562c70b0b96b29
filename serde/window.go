package serde

import (
	"fmt"
	"time"
)

// Window is a span of event time. Start is inclusive. The meaning of End depends on the
// kind of window:
//
//   - The End of a time window is exclusive.
//   - The End of a session window is the timestamp of its last record, so it is
//     inclusive.
//
// Both are in milliseconds since the Unix epoch. A window whose End is math.MaxInt64 does
// not end.
type Window struct {
	Start, End int64
}

// StartTime returns Start as a time in UTC.
func (w Window) StartTime() time.Time { return time.UnixMilli(w.Start).UTC() }

// EndTime returns End as a time in UTC.
func (w Window) EndTime() time.Time { return time.UnixMilli(w.End).UTC() }

// String returns Start and End in milliseconds, for example 0/60000.
func (w Window) String() string { return fmt.Sprintf("%d/%d", w.Start, w.End) }

// Windowed is a key in one window. Windowed aggregations have results with such keys.
type Windowed[K any] struct {
	Key K
	Window
}

// String returns the form that Kafka Streams prints, for example [alice@0/60000].
func (w Windowed[K]) String() string { return fmt.Sprintf("[%v@%v]", w.Key, w.Window) }
