package operator

import (
	"fmt"
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

// within reports whether the caller is inside a call of the processor, on the task's
// goroutine. If not, the task fails.
//
// A caller on another goroutine must not read h.at, so foreign is asked first. In
// production foreign is nil. Such a caller is then detected only while no call is
// running.
func (h *host[K2, V2]) within(method string) bool {
	if !h.native(method) {
		return false
	}
	if h.at == noTime {
		h.strayed(method)
		return false
	}
	return true
}

// native reports whether the caller may be on the task's goroutine. If it is known to be
// on another one, the task fails.
func (h *host[K2, V2]) native(method string) bool {
	if h.foreign != nil && h.foreign() {
		h.strayed(method)
		return false
	}
	return true
}

func (h *host[K2, V2]) strayed(method string) {
	h.base.task.Misused(h.base.node, fmt.Errorf("method %s: %w", method, processor.ErrOutsideCall))
}

// watchedSchedule is cancelled on the task's goroutine only. It may be cancelled outside
// of a call, by Close.
type watchedSchedule struct {
	processor.Schedule
	native func(method string) bool
}

func (s watchedSchedule) Cancel() {
	if s.native("Schedule.Cancel") {
		s.Schedule.Cancel()
	}
}
