package topology

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace-streams/millrace/internal/operator"
)

// JoinWindows says how close together in time the records of two streams must be to be
// joined. [Within] makes one. Both bounds are included.
type JoinWindows struct {
	before, after time.Duration
	grace         time.Duration
}

// Within joins records whose timestamps differ by d at most.
func Within(d time.Duration) JoinWindows { return JoinWindows{before: d, after: d} }

// Before is how much earlier than the left record the right record may be. It may be
// negative: the right record must then be later by at least that much.
func (w JoinWindows) Before(d time.Duration) JoinWindows {
	w.before = d
	return w
}

// After is how much later than the left record the right record may be. It may be
// negative, as that of Before.
func (w JoinWindows) After(d time.Duration) JoinWindows {
	w.after = d
	return w
}

// Grace is how long the join waits for records that are out of order. Default: it does
// not wait. A record finds the partners that are stored still, and a record without a
// partner has its result when the join's stream time is more than the grace past the last
// timestamp that a partner could have.
func (w JoinWindows) Grace(d time.Duration) JoinWindows {
	w.grace = d
	return w
}

// String describes the windows, as in "1m0s before to 5s after".
func (w JoinWindows) String() string { return fmt.Sprintf("%v before to %v after", w.before, w.after) }

// problems returns what is wrong with the windows.
func (w JoinWindows) problems() (out []string) {
	for _, d := range []time.Duration{w.before, w.after, w.grace} {
		if d%time.Millisecond != 0 {
			out = append(out, fmt.Sprintf("the time %v is no whole number of milliseconds", d))
		}
	}
	size := w.size()
	switch {
	case size < time.Millisecond:
		out = append(out, fmt.Sprintf("the window (%v) is shorter than a millisecond", w))
	case w.grace < 0:
		out = append(out, fmt.Sprintf("the grace %v is negative", w.grace))
	case size > longest || w.before > longest || w.after > longest || w.grace > longest-size:
		out = append(out, fmt.Sprintf("the window (%v) with the grace %v is longer than %v", w, w.grace, longest))
	}
	return out
}

// longest keeps sums of timestamps and windows within 64 bits: some 146 years.
const longest = time.Duration(math.MaxInt64 / 2 / int64(time.Millisecond) * int64(time.Millisecond))

// size is the length of the windows, or some time below zero if they are empty.
func (w JoinWindows) size() time.Duration {
	switch size := w.before + w.after; {
	case w.before < 0 && w.after < 0:
		return w.before // the sum may be too small for a Duration
	case w.before > 0 && w.after > 0 && size < 0:
		return math.MaxInt64
	default:
		return size
	}
}

// retention is how long a record is needed.
func (w JoinWindows) retention() time.Duration { return w.size() + w.grace }

// span returns the windows as the operator needs them.
func (w JoinWindows) span() operator.JoinSpan {
	return operator.JoinSpan{Before: w.before.Milliseconds(), After: w.after.Milliseconds(), Grace: w.grace.Milliseconds()}
}
