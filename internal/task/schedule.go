package task

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// schedule is a punctuator with its slots: next, next+interval, ... Times are
// milliseconds of its clock.
type schedule struct {
	owner          *schedules
	node           *graph.Node
	name           string // tells it from the others of the task
	next, interval int64
	f              func(now time.Time) error
	cancelled      bool
}

// Cancel ends the schedule.
func (s *schedule) Cancel() {
	s.cancelled = true
	s.owner.refresh()
}

// advance moves the schedule to its first slot after now. Missed slots collapse into one.
func (s *schedule) advance(now int64) { s.next = slotAfter(s.next, s.interval, now) }

// slotAfter returns the first of start, start+interval, ... that lies beyond now.
func slotAfter(start, interval, now int64) int64 {
	if start > now {
		return start
	}
	if next := start + ((now-start)/interval+1)*interval; next > now {
		return next
	}
	return never // beyond the end of time
}

// schedules are the schedules of one clock, in order of registration.
type schedules struct {
	all []*schedule
	due int64 // smallest next

	made int // schedules ever made
}

const never = math.MaxInt64

func (s *schedules) refresh() {
	s.due = never
	for _, one := range s.all {
		if !one.cancelled {
			s.due = min(s.due, one.next)
		}
	}
}

// first returns the schedule with the oldest slot. Among several, it returns the one that
// was registered first.
func (s *schedules) first() *schedule {
	for _, one := range s.all {
		if !one.cancelled && one.next == s.due {
			return one
		}
	}
	return nil
}

// sweep removes cancelled schedules.
func (s *schedules) sweep() {
	kept := s.all[:0]
	for _, one := range s.all {
		if !one.cancelled {
			kept = append(kept, one)
		}
	}
	clear(s.all[len(kept):])
	s.all = kept
}

// schedule registers a punctuator. start is its first slot. With a zero start, the rule
// of the clock applies: stream time counts from 1970, so the first record fires; the wall
// clock counts from now.
//
// If Init makes a schedule in a task that already has a stream time, the schedule
// continues, because the first record has fired it earlier.
func (t *Task) schedule(n *graph.Node, kind processor.TimeKind, start time.Time, interval time.Duration, f func(time.Time) error) *schedule {
	s := &t.schedules[kind]
	one := &schedule{owner: s, node: n, name: fmt.Sprintf("%v %d", kind, s.made), interval: max(interval.Milliseconds(), 1), f: f}
	s.made++
	now := t.now.UnixMilli()
	if kind == processor.StreamTime {
		now = int64(t.streamTime)
	}
	switch {
	case !start.IsZero():
		one.next = start.UnixMilli()
	case kind == processor.WallClock:
		one.next = now + one.interval
	}
	past := one.next < now && (kind == processor.WallClock || !start.IsZero())
	if past || kind == processor.StreamTime && t.starting {
		one.advance(now)
	}
	s.all = append(s.all, one)
	s.refresh()
	return one
}

// punctuate calls the due schedules, each once, oldest slot first. It also calls a due
// schedule that was made during these calls.
func (t *Task) punctuate(s *schedules, now int64) (n int, err error) {
	t.dirty, t.awaited = true, true
	at := time.UnixMilli(now).UTC()
	for s.due <= now && s.due != never {
		one := s.first()
		t.current, t.eventTime, t.call = nil, processor.Timestamp(now), one.name
		err := hook{f: func() error { return one.f(at) }}.call()
		if err != nil || t.failure != nil {
			if err := t.failOutside(one.node, err); err != nil {
				return n, err
			}
		}
		t.called(one.name)
		n++
		one.advance(now)
		s.refresh()
	}
	t.call = ""
	s.sweep()
	return n, nil
}
