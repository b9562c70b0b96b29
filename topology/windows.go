package topology

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace-streams/millrace/internal/operator"
)

// Windows says how time is divided into windows. Windows are aligned to
// 1970-01-01T00:00:00Z. A window includes its start and excludes its end.
type Windows struct {
	kind    windowsKind
	size    time.Duration // math.MaxInt64 if the window never ends; the gap of sessions
	advance time.Duration
	start   time.Time // the start of an unlimited window
	grace   time.Duration
}

type windowsKind int

const (
	noWindows windowsKind = iota
	tumbling
	hopping
	unlimited
	sliding
	sessions
)

// Tumbling divides time into windows of the given size, one after the other.
func Tumbling(size time.Duration) Windows {
	return Windows{kind: tumbling, size: size, advance: size}
}

// Hopping divides time into windows of the given size. A new window starts every advance,
// so windows overlap if advance is less than size. advance must be at most size.
func Hopping(size, advance time.Duration) Windows {
	return Windows{kind: hopping, size: size, advance: advance}
}

// Unlimited is one window that begins at start and never ends. Earlier records are
// ignored, and not counted as dropped.
func Unlimited(start time.Time) Windows {
	return Windows{kind: unlimited, size: math.MaxInt64, start: start}
}

// Sliding makes a window for each set of records that lie at most difference apart. A
// window is [start, start+difference], both ends included. One window ends at each
// record, and one begins a millisecond after it if a record lies in it. No two windows
// hold the same records. See Kafka Streams' SlidingWindows.
//
// Records without a value are dropped, and counted as dropped. A record before 1970 plus
// difference belongs to the window that starts in 1970.
func Sliding(difference time.Duration) Windows {
	return Windows{kind: sliding, size: difference, advance: time.Millisecond}
}

// Grace keeps a window open until the operator's stream time is d past the end of the
// window. Default: none. Later records are dropped, and counted as dropped once for each
// window for which they are late. Unlimited windows have no grace.
//
// If a later version of the program has a longer grace, windows are open for longer from
// then on, and windows that are closed are opened again while their rows are still there.
// A window whose rows were deleted stays closed, so it never begins again from nothing.
func (w Windows) Grace(d time.Duration) Windows {
	w.grace = d
	return w
}

// Size returns the length of the windows. It is math.MaxInt64 for unlimited ones, and the
// gap for sessions.
func (w Windows) Size() time.Duration { return w.size }

// String describes the windows, such as "hopping 1m0s every 5s".
func (w Windows) String() string {
	switch w.kind {
	case tumbling:
		return fmt.Sprintf("tumbling %v", w.size)
	case hopping:
		return fmt.Sprintf("hopping %v every %v", w.size, w.advance)
	case sliding:
		return fmt.Sprintf("sliding %v", w.size)
	case sessions:
		return fmt.Sprintf("sessions with a gap of %v", w.size)
	case unlimited:
		return fmt.Sprintf("unlimited from %s", w.start.UTC().Format(time.RFC3339Nano))
	}
	return "no windows"
}

// problems returns the mistakes in the windows.
func (w Windows) problems() []string {
	var out []string
	add := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	switch w.kind {
	case noWindows:
		add(true, "the Windows are the zero value: use Tumbling, Hopping, Sliding or Unlimited")
	case unlimited:
		add(w.start.UnixMilli() < 0, "the window starts at %v: the start must not be before 1970", w.start)
		add(w.grace != 0, "unlimited windows have no grace: remove it")
	case sessions:
		add(w.size < 0, "the gap %v must not be negative", w.size)
		add(w.size%time.Millisecond != 0, "the gap %v must be a whole number of milliseconds", w.size)
		w.graceProblems(add)
	case sliding:
		add(w.size <= 0, "the difference %v must be positive", w.size)
		add(w.size%time.Millisecond != 0, "the difference %v must be a whole number of milliseconds", w.size)
		w.graceProblems(add)
	default:
		add(w.size <= 0, "the window size %v must be positive", w.size)
		add(w.size%time.Millisecond != 0, "the window size %v must be a whole number of milliseconds", w.size)
		add(w.kind == hopping && w.advance <= 0, "the advance %v must be positive", w.advance)
		add(w.kind == hopping && w.advance > w.size, "the advance %v is more than the window size %v, so records between windows would be lost: use a smaller advance", w.advance, w.size)
		add(w.advance%time.Millisecond != 0, "the advance %v must be a whole number of milliseconds", w.advance)
		w.graceProblems(add)
	}
	return out
}

func (w Windows) graceProblems(add func(bad bool, format string, args ...any)) {
	add(w.grace < 0, "the grace %v must not be negative", w.grace)
	add(w.grace%time.Millisecond != 0, "the grace %v must be a whole number of milliseconds", w.grace)
}

// lifetime returns how long a row is needed, counted from the start of its window, or
// from the end of its session.
func (w Windows) lifetime() time.Duration {
	if w.kind == sessions {
		// A session is closed a gap and the grace after its end. A late record that
		// touches an open session may still take it in. That can be at any time, so the
		// rest is a choice.
		return sumOf(sumOf(w.size, w.size), sumOf(w.grace, time.Minute))
	}
	if w.kind == sliding {
		// A record that is not late lies the size and the grace before stream time. It
		// meets windows that start two sizes before it, and the newest window starts a
		// moment after stream time.
		return sumOf(w.size, sumOf(w.openFor(), 2*time.Millisecond))
	}
	return w.openFor()
}

// openFor returns how long a window takes records, counted from its start. A sliding
// window is needed for as long again, since later ones begin with what it holds.
func (w Windows) openFor() time.Duration {
	if w.kind == sliding {
		return sumOf(w.size, sumOf(w.size, w.grace))
	}
	return sumOf(w.size, w.grace)
}

// lag returns how much longer, in ms, rows are kept than one input needs them, with the
// retention that was chosen; see [WindowedCogroup].
func (w Windows) lag(retention time.Duration) int64 {
	return max(retention-w.lifetime(), 0).Milliseconds()
}

// sumOf adds two durations that are not negative. The longest one stands for no end.
func sumOf(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// sizeName says what size is.
func (w Windows) sizeName() string {
	switch w.kind {
	case sessions:
		return "the gap"
	case sliding:
		return "twice the difference"
	}
	return "the window size"
}

// span returns the windows in the form that the operators use.
func (w Windows) span() operator.Span {
	return operator.Span{
		Size: w.size.Milliseconds(), Advance: w.advance.Milliseconds(), Grace: w.grace.Milliseconds(),
		Unlimited: w.kind == unlimited, Start: w.start.UnixMilli(),
	}
}
