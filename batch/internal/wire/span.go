package wire

import "time"

// Span is a batch, or for a marker the time from one boundary to another. Times are in ms
// since 1970.
type Span struct {
	From, To int64

	// Live says that the sender of a marker ran when the batch ended, or has sent a part
	// of the batch.
	Live bool
}

// Start returns the start of the span, in UTC.
func (s Span) Start() time.Time { return time.UnixMilli(s.From).UTC() }

// End returns the end of the span, in UTC.
func (s Span) End() time.Time { return time.UnixMilli(s.To).UTC() }
