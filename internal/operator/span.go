package operator

import (
	"math"

	"github.com/millrace-streams/millrace/internal/engine"
)

// Span says how time is cut into windows. All times are in milliseconds.
type Span struct {
	Size, Advance, Grace int64

	// Unlimited says that there is one window only, from Start on, without an end.
	Unlimited bool
	Start     int64
}

// starts returns the first and the last start of the windows that hold ts, and the step
// between starts. There is none if first > last. No window has a negative start.
func (s *Span) starts(ts int64) (first, last, step int64) {
	if s.Unlimited {
		if ts < s.Start {
			return 0, -1, 1
		}
		return s.Start, s.Start, 1
	}
	first = max(0, ts-s.Size+s.Advance) / s.Advance * s.Advance
	return first, ts, s.Advance
}

// overlap returns the largest number of windows that hold the same time.
func (s *Span) overlap() int64 {
	if s.Unlimited {
		return 1
	}
	return (s.Size + s.Advance - 1) / s.Advance
}

// end returns the end of the window with the start.
func (s *Span) end(start int64) int64 {
	if s.Unlimited {
		return math.MaxInt64
	}
	return engine.Later(start, s.Size)
}

// closed reports whether a window with the end takes no more records at a stream time.
func (s *Span) closed(end, streamTime int64) bool { return end <= streamTime-s.Grace }
