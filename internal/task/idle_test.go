package task

import (
	"slices"
	"testing"
	"time"
)

// at processes the available records at a wall-clock time, in milliseconds.
func (s *shell) at(ms int64) {
	s.tb.Helper()
	if _, err := s.task.Process(time.UnixMilli(ms), 1000); err != nil {
		s.tb.Fatal(err)
	}
}

// wantIdle checks until when the task waits, in milliseconds, and for which partitions.
// -1 means that it does not wait.
func (s *shell) wantIdle(until int64, waiting ...Partition) {
	s.tb.Helper()
	got := int64(-1)
	if at, ok := s.task.IdleUntil(); ok {
		got = at.UnixMilli()
	}
	if got != until {
		s.tb.Errorf("idle until %d, want %d", got, until)
	}
	if got := s.task.Waiting(); !slices.Equal(got, waiting) {
		s.tb.Errorf("waits for %v, want %v", got, waiting)
	}
}

func idling(t *testing.T, topics ...string) *shell {
	s := newShell(t, pass(topics...), topics...)
	s.cfg.Idle = 10 * time.Millisecond
	s.start()
	return s
}

func TestIdleWaitsForNewRecords(t *testing.T) {
	t.Parallel()
	s := idling(t, "a", "b")
	s.add("a", in("a", "1", 9))
	s.at(100)
	s.wantOpen()
	s.wantIdle(110, Partition{"b", 0})
	s.add("b", in("b", "1", 5))
	s.at(105)
	s.wantOpen("out b=1@5")
	s.wantIdle(115, Partition{"b", 0})
	s.at(114)
	s.wantOpen("out b=1@5")
	s.at(115)
	s.wantOpen("out b=1@5", "out a=1@9")
	s.wantIdle(-1)
}

// A partition without new records delays the others once. It can delay them again after
// it has had a record.
func TestIdleCountsFromTheEmptyQueue(t *testing.T) {
	t.Parallel()
	s := idling(t, "a", "b")
	s.at(100)
	s.wantIdle(-1)
	s.add("a", in("a", "1", 9))
	s.at(111)
	s.wantOpen("out a=1@9")
	s.add("b", in("b", "1", 1))
	s.at(112) // a has been empty since 111
	s.wantIdle(121, Partition{"a", 0})
	s.at(121)
	s.wantOpen("out a=1@9", "out b=1@1")
}

// The task waits without a limit for records that the broker has. The time for new
// records begins after them.
func TestIdleBeginsBehindTheEnd(t *testing.T) {
	t.Parallel()
	s := idling(t, "a", "b", "c")
	s.task.SetEnd("b", 0, 2)
	s.add("a", in("a", "1", 9))
	s.at(100)
	s.at(500)
	s.wantOpen()
	s.wantIdle(-1, Partition{"b", 0})
	s.task.SetPosition("b", 0, 2)
	s.at(501)
	s.wantIdle(511, Partition{"b", 0})
	s.at(511)
	s.wantOpen("out a=1@9")
}

func TestIdleNeedsASecondPartition(t *testing.T) {
	t.Parallel()
	s := idling(t, "a")
	s.add("a", in("a", "1", 9))
	s.at(100)
	s.wantOpen("out a=1@9")
	s.wantIdle(-1)
}

func TestIdleOffByDefault(t *testing.T) {
	t.Parallel()
	s := newShell(t, pass("a", "b"), "a", "b")
	s.start()
	s.add("a", in("a", "1", 9))
	s.at(100)
	s.wantOpen("out a=1@9")
	s.wantIdle(-1)
}
