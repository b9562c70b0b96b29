package task

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// scheduled forwards records and makes schedules in Init.
func scheduled(init func(p *fakeProcessor)) *graph.Graph {
	b := &builder{}
	b.sink("out", b.process("p", init, func(p *fakeProcessor, r *rec) error { return p.forward(r.Key, r.Value, r.Timestamp) }, b.source(false, "in")))
	return b.graph()
}

func every(p *fakeProcessor, kind processor.TimeKind, start, interval int64, label string) processor.Schedule {
	var from time.Time
	if start >= 0 {
		from = time.UnixMilli(start)
	}
	return p.t.Schedule(p.n, kind, from, time.Duration(interval)*time.Millisecond, func(now time.Time) error {
		return p.forward(label, fmt.Sprint(p.t.Metadata()), processor.TimestampOf(now))
	})
}

const none = "{ -1 -1}" // Metadata in a punctuator

func TestStreamTimePunctuation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		start int64
		want  []int64
	}{
		{"from 1970", -1, []int64{7, 10, 47, 50, 60}},
		{"from 3", 3, []int64{7, 47, 59}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newShell(t, scheduled(func(p *fakeProcessor) { every(p, processor.StreamTime, test.start, 10, "P") }), "in")
			s.start()
			var want []string
			fires := test.want
			var records []graph.Input
			for _, at := range []int64{7, 9, 10, 47, 50, 30, 59, 60} {
				records = append(records, in("a", "", at))
				want = append(want, fmt.Sprintf("out a=@%d", at))
				if len(fires) > 0 && fires[0] == at {
					want, fires = append(want, fmt.Sprintf("out P=%s@%d", none, at)), fires[1:]
				}
			}
			s.add("in", records...)
			s.run()
			s.wantOpen(want...)
		})
	}
}

func TestWallClockPunctuation(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		start     int64
		at, calls []int64
		next      int64
	}{
		{"phase of the call", -1, []int64{1009, 1010, 1015, 1020, 1055, 1059, 1060, 1070}, []int64{1010, 1020, 1055, 1060, 1070}, 1080},
		{"start ahead", 1003, []int64{1002, 1003, 1013, 1038, 1043}, []int64{1003, 1013, 1038, 1043}, 1053},
		{"start in the past", 7, []int64{1006, 1007, 1017}, []int64{1007, 1017}, 1027},
		{"start in the past, a slot now", 990, []int64{1005, 1010}, []int64{1010}, 1020},
		{"start now", 1000, []int64{1005, 1010}, []int64{1005, 1010}, 1020},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newShell(t, scheduled(func(p *fakeProcessor) { every(p, processor.WallClock, test.start, 10, "P") }), "in")
			s.cfg.Now = time.UnixMilli(1000)
			s.start()
			for _, now := range test.at {
				if _, err := s.task.Punctuate(time.UnixMilli(now)); err != nil {
					t.Fatal(err)
				}
			}
			var want []string
			for _, at := range test.calls {
				want = append(want, fmt.Sprintf("out P=%s@%d", none, at))
			}
			s.wantOpen(want...)
			if next, ok := s.task.NextPunctuation(); !ok || next.UnixMilli() != test.next {
				t.Errorf("next punctuation at %d, %v, want %d", next.UnixMilli(), ok, test.next)
			}
		})
	}
}

func TestOrderOfSchedules(t *testing.T) {
	t.Parallel()
	s := newShell(t, scheduled(func(p *fakeProcessor) {
		every(p, processor.StreamTime, -1, 10, "A")
		every(p, processor.StreamTime, -1, 5, "B")
	}), "in")
	s.start()
	s.add("in", in("a", "", 7), in("a", "", 47))
	s.run()
	s.wantOpen("out a=@7", "out A="+none+"@7", "out B="+none+"@7", "out a=@47", "out A="+none+"@47", "out B="+none+"@47")
}

func TestCancelInsideTheCallback(t *testing.T) {
	t.Parallel()
	s := newShell(t, scheduled(func(p *fakeProcessor) {
		n := 0
		var own, other processor.Schedule
		own = p.t.Schedule(p.n, processor.WallClock, time.Time{}, 10*time.Millisecond, func(now time.Time) error {
			if n++; n == 2 {
				own.Cancel()
				other.Cancel()
			}
			return p.forward("P", fmt.Sprint(n), processor.TimestampOf(now))
		})
		other = every(p, processor.WallClock, -1, 10, "Q")
	}), "in")
	s.start()
	for _, now := range []int64{10, 20, 30} {
		if _, err := s.task.Punctuate(time.UnixMilli(now)); err != nil {
			t.Fatal(err)
		}
	}
	s.wantOpen("out P=1@10", "out Q="+none+"@10", "out P=2@20")
	if next, ok := s.task.NextPunctuation(); ok {
		t.Errorf("next punctuation at %v, want none", next)
	}
}

// A stream-time schedule that is made while a record is processed is due at once: its
// first slot is in 1970. If the start is in the past, only its phase counts.
func TestScheduleMadeInProcess(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		start int64
		want  []string
	}{
		{"from 1970", -1, []string{"out 1=" + none + "@5", "out 2=" + none + "@25", "out 1=" + none + "@25", "out 3=" + none + "@26"}},
		{"from 5", 5, []string{"out 1=" + none + "@5", "out 1=" + none + "@25"}},
		{"from 6", 6, []string{"out 1=" + none + "@25", "out 1=" + none + "@26", "out 2=" + none + "@26"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := &builder{}
			b.sink("out", b.process("p", nil, func(p *fakeProcessor, r *rec) error {
				every(p, processor.StreamTime, test.start, 10, r.Value)
				return nil
			}, b.source(false, "in")))
			s := newShell(t, b.graph(), "in")
			s.start()
			s.add("in", in("a", "1", 5), in("a", "2", 25), in("a", "3", 26))
			s.run()
			s.wantOpen(test.want...)
		})
	}
}

func TestErrorsOfPunctuators(t *testing.T) {
	t.Parallel()
	graph := func() *graph.Graph {
		return scheduled(func(p *fakeProcessor) {
			p.t.Schedule(p.n, processor.WallClock, time.Time{}, 10*time.Millisecond, func(time.Time) error { return errors.New("boom") })
			p.t.Schedule(p.n, processor.WallClock, time.Time{}, 10*time.Millisecond, func(time.Time) error { panic("bang") })
		})
	}
	s := newShell(t, graph(), "in")
	s.start()
	_, err := s.task.Punctuate(time.UnixMilli(10))
	var e *processor.Error
	if !errors.As(err, &e) || e.Node != "p" || e.Topic != "" || e.Offset != -1 || e.Phase != processor.Process {
		t.Fatalf("got %v, want an error of node p outside of a record", err)
	}
	if _, again := s.task.Process(time.UnixMilli(0), 1); again != err {
		t.Errorf("later the error is %v, want the same", again)
	}

	s = newShell(t, graph(), "in")
	s.cfg.Policy = processor.ErrorPolicy{Process: processor.DeadLetter, DeadLetterTopic: "dead"}
	s.start()
	if _, err := s.task.Punctuate(time.UnixMilli(10)); err != nil {
		t.Fatal(err)
	}
	s.wantOpen("dead =@10", "dead =@10")
	if len(s.drops) != 2 {
		t.Errorf("%d drops, want 2", len(s.drops))
	}

	s = newShell(t, graph(), "in")
	s.cfg.Policy = processor.ErrorPolicy{Process: processor.Retry, Retries: 2, Exhausted: processor.Skip}
	for range 4 { // each of the two fails twice and is then skipped
		s.start()
		var replay *ReplayError
		if _, err := s.task.Punctuate(time.UnixMilli(10)); !errors.As(err, &replay) {
			t.Fatalf("got %v, want a replay", err)
		}
	}
	s.start()
	if _, err := s.task.Punctuate(time.UnixMilli(10)); err != nil {
		t.Fatal(err)
	}
}
