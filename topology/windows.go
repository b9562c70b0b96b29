package topology

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace-streams/millrace/internal/operator"
)

// Windows says how time is cut into windows. Windows are aligned to 1970-01-01T00:00:00Z;
// a window holds its start and not its end.
type Windows struct {
	kind    windowsKind
	size    time.Duration // math.MaxInt64: without end
	advance time.Duration
	start   time.Time // of an unlimited window
	grace   time.Duration
}

type windowsKind int

const (
	noWindows windowsKind = iota
	tumbling
	hopping
	unlimited
)

// Tumbling cuts time into windows of a size, one after the other.
func Tumbling(size time.Duration) Windows {
	return Windows{kind: tumbling, size: size, advance: size}
}

// Hopping cuts time into windows of a size that start every advance, and so overlap.
// advance must be at most size.
func Hopping(size, advance time.Duration) Windows {
	return Windows{kind: hopping, size: size, advance: advance}
}

// Unlimited is one window that starts at a time and never ends. Records before it are
// ignored, and not counted as dropped.
func Unlimited(start time.Time) Windows {
	return Windows{kind: unlimited, size: math.MaxInt64, start: start}
}

// Grace lets a window take records until the operator's stream time is d past its end.
// Default: none. Later records are dropped, and counted as dropped once for each window
// that they are too late for. Unlimited windows have no grace.
func (w Windows) Grace(d time.Duration) Windows {
	w.grace = d
	return w
}

// Size returns the length of the windows, math.MaxInt64 for unlimited ones.
func (w Windows) Size() time.Duration { return w.size }

// String describes the windows, as in "hopping 1m0s every 5s".
func (w Windows) String() string {
	switch w.kind {
	case tumbling:
		return fmt.Sprintf("tumbling %v", w.size)
	case hopping:
		return fmt.Sprintf("hopping %v every %v", w.size, w.advance)
	case unlimited:
		return fmt.Sprintf("unlimited from %s", w.start.UTC().Format(time.RFC3339Nano))
	}
	return "no windows"
}

// problems returns what is wrong with the windows.
func (w Windows) problems() []string {
	var out []string
	add := func(bad bool, format string, args ...any) {
		if bad {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	switch w.kind {
	case noWindows:
		add(true, "the Windows are the zero value: make them with Tumbling, Hopping or Unlimited")
	case unlimited:
		add(w.start.UnixMilli() < 0, "the window starts at %v, before 1970", w.start)
		add(w.grace != 0, "unlimited windows have no grace")
	default:
		add(w.size <= 0, "the window size is %v, it must be positive", w.size)
		add(w.size%time.Millisecond != 0, "the window size %v is no whole number of milliseconds", w.size)
		add(w.kind == hopping && w.advance <= 0, "the windows advance by %v, it must be positive", w.advance)
		add(w.kind == hopping && w.advance > w.size, "the windows advance by %v, which is more than their size %v: records between them would be lost", w.advance, w.size)
		add(w.advance%time.Millisecond != 0, "the advance %v is no whole number of milliseconds", w.advance)
		add(w.grace < 0, "the grace %v is negative", w.grace)
		add(w.grace%time.Millisecond != 0, "the grace %v is no whole number of milliseconds", w.grace)
	}
	return out
}

// lifetime is how long a row is needed after its window's start.
func (w Windows) lifetime() time.Duration {
	if w.grace > math.MaxInt64-w.size {
		return math.MaxInt64
	}
	return w.size + w.grace
}

// span returns the windows as the operators need them.
func (w Windows) span() operator.Span {
	return operator.Span{
		Size: w.size.Milliseconds(), Advance: w.advance.Milliseconds(), Grace: w.grace.Milliseconds(),
		Unlimited: w.kind == unlimited, Start: w.start.UnixMilli(),
	}
}
