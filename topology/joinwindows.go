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

// Before sets how much earlier than the left record the right record may be. A negative d
// means that the right record must be later by at least that much.
func (w JoinWindows) Before(d time.Duration) JoinWindows {
	w.before = d
	return w
}

// After sets how much later than the left record the right record may be. A negative d
// means that the right record must be earlier by at least that much.
func (w JoinWindows) After(d time.Duration) JoinWindows {
	w.after = d
	return w
}

// Grace sets how long the join waits for records that are out of order. Default: it does
// not wait. A record without a partner has its result when the join's stream time is
// later by more than d than the last timestamp that a partner could have.
//
// If a later version of the program has a longer grace or longer windows, records are
// kept for longer from then on. A record that had expired before stays expired, and one
// that was too late to be kept stays too late. Results therefore do not depend on what
// disks and changelogs still have.
func (w JoinWindows) Grace(d time.Duration) JoinWindows {
	w.grace = d
	return w
}

// String describes the windows, as in "1m0s before to 5s after".
func (w JoinWindows) String() string { return fmt.Sprintf("%v before to %v after", w.before, w.after) }

// problems returns the faults of the windows.
func (w JoinWindows) problems() (out []string) {
	for _, d := range []time.Duration{w.before, w.after, w.grace} {
		if d%time.Millisecond != 0 {
			out = append(out, fmt.Sprintf("the time %v must be a whole number of milliseconds", d))
		}
	}
	size := w.size()
	switch {
	case size < time.Millisecond:
		out = append(out, fmt.Sprintf("the window (%v) must be at least one millisecond long", w))
	case w.grace < 0:
		out = append(out, fmt.Sprintf("the grace %v must not be negative", w.grace))
	case size > longest || w.before > longest || w.after > longest || w.grace > longest-size:
		out = append(out, fmt.Sprintf("the window (%v) plus the grace %v must be at most %v long", w, w.grace, longest))
	}
	return out
}

// longest keeps sums of timestamps and windows within 64 bits. It is about 146 years.
const longest = time.Duration(math.MaxInt64 / 2 / int64(time.Millisecond) * int64(time.Millisecond))

// size is the length of the windows. It is negative if they are empty.
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

// retention is the time that a record is kept.
func (w JoinWindows) retention() time.Duration { return w.size() + w.grace }

// span returns the windows in the form that the operator needs.
func (w JoinWindows) span() operator.JoinSpan {
	return operator.JoinSpan{Before: w.before.Milliseconds(), After: w.after.Milliseconds(), Grace: w.grace.Milliseconds()}
}
