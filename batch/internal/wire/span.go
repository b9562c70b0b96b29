package wire

import (
	"encoding/binary"
	"time"
)

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

// BE64 returns a number as eight big-endian bytes.
func BE64(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

// BE32 returns a number as four big-endian bytes.
func BE32(v int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(v)) }
