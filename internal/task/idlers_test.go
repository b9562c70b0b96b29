package task

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
)

// idleTimes runs a node that notes for how long its inputs have been idle, in seconds.
func idleTimes(t *testing.T, topics ...string) (s *shell, told *[][2]int64) {
	t.Helper()
	told = new([][2]int64)
	b := &builder{}
	b.process("node", func(p *fakeProcessor) {
		p.t.OnIdle(p.n, func(idle graph.Idle) (bool, error) {
			*told = append(*told, [2]int64{idle.Since.Unix(), idle.Until.Unix()})
			return false, nil
		})
	}, func(*fakeProcessor, *rec) error { return nil }, b.source(false, topics...))
	s = newShell(t, b.graph(), topics...)
	s.start()
	return s, told
}

// confirmEnd tells the task that the input ended at an offset when Kafka was asked, and
// passes the idle time.
func (s *shell) confirmEnd(next, end, second int64) {
	s.tb.Helper()
	at := time.Unix(second, 0)
	s.task.Confirm("in", 0, next, end, at)
	if _, err := s.task.PassIdle(at); err != nil {
		s.tb.Fatal(err)
	}
}

// TestRecordBetweenQuestionAndAnswer: the idle time does not begin before the last
// record, however late the answer about the end comes.
func TestRecordBetweenQuestionAndAnswer(t *testing.T) {
	t.Parallel()
	for _, end := range []int64{0, 1} { // the record came after the answer, or before it
		s, told := idleTimes(t, "in")
		s.add("in", in("a", "v", 1))
		s.run()
		s.commit()
		s.confirmEnd(0, end, 1)
		s.confirmEnd(1, 1, 3)
		s.confirmEnd(1, 1, 4)
		if want := [][2]int64{{3, 3}, {3, 4}}; !slices.Equal(*told, want) {
			t.Errorf("idle %v, want %v", *told, want)
		}
	}
}

// TestIdleTimeBehindUncommittedRecords: nodes may hold updates back until the commit.
func TestIdleTimeBehindUncommittedRecords(t *testing.T) {
	t.Parallel()
	s, told := idleTimes(t, "in")
	s.add("in", in("a", "v", 1))
	s.run()
	s.confirmEnd(1, 1, 1)
	s.confirmEnd(1, 1, 2)
	if len(*told) > 0 {
		t.Errorf("idle %v before the commit", *told)
	}
	s.commit()
	s.confirmEnd(1, 1, 3)
	if want := [][2]int64{{1, 3}}; !slices.Equal(*told, want) {
		t.Errorf("idle %v, want %v", *told, want)
	}
}

// TestIdleTimeOfTwoInputs: the node is told of the time for which both have been idle.
func TestIdleTimeOfTwoInputs(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"before", "later"} { // in order of the names
		s, told := idleTimes(t, "in", other)
		s.confirmEnd(0, 0, 1)
		s.confirmEnd(0, 0, 2)
		s.task.Confirm(other, 0, 0, 0, time.Unix(3, 0))
		s.confirmEnd(0, 0, 4)
		s.task.Confirm(other, 0, 0, 0, time.Unix(5, 0))
		s.confirmEnd(0, 0, 6)
		if want := [][2]int64{{3, 3}, {3, 5}}; !slices.Equal(*told, want) {
			t.Errorf("idle %v, want %v", *told, want)
		}
	}
}

// TestRecordsThatWaitAreNotIdle: the task has records of the input, for example because
// its partition is paused, and has not processed them.
func TestRecordsThatWaitAreNotIdle(t *testing.T) {
	t.Parallel()
	s, told := idleTimes(t, "in")
	s.confirmEnd(0, 0, 1)
	s.add("in", in("a", "v", 1))
	s.confirmEnd(1, 1, 2)
	s.confirmEnd(1, 1, 3)
	s.run()
	s.commit()
	s.confirmEnd(1, 1, 4)
	s.confirmEnd(1, 1, 5)
	if want := [][2]int64{{1, 1}, {4, 4}, {4, 5}}; !slices.Equal(*told, want) {
		t.Errorf("idle %v, want %v", *told, want)
	}
}
