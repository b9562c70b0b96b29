package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

var errBoom = errors.New("boom")

// failing fails at value "x" as often as *left says (-1: always). It forwards all other
// values to topic out. A sibling forwards all values to topic all.
func failing(left *int, stores ...string) *graph.Graph {
	b := &builder{}
	source := b.source(true, "in")
	p := b.process("p", nil, func(p *fakeProcessor, r *rec) error {
		if r.Value == "x" && *left != 0 {
			*left--
			return errBoom
		}
		return p.forward(r.Key, r.Value, r.Timestamp)
	}, source)
	p.Stores = stores
	b.sink("out", p)
	b.sink("all", source)
	return b.graph()
}

func policyShell(t *testing.T, g *graph.Graph, policy processor.ErrorPolicy) *shell {
	s := newShell(t, g, "in")
	s.cfg.Policy = policy
	s.start()
	return s
}

func TestFailNamesThePlaceAndSticks(t *testing.T) {
	t.Parallel()
	always := -1
	s := policyShell(t, failing(&always), processor.ErrorPolicy{})
	s.add("in", in("k", "1", 1), in("k", "x", 2), in("k", "3", 3))
	n, err := s.task.Process(time.UnixMilli(0), 10)
	var e *processor.Error
	if !errors.As(err, &e) || !errors.Is(err, errBoom) || e.Node != "p" || e.Topic != "in" || e.Offset != 1 || e.Phase != processor.Process {
		t.Fatalf("got %v, want boom in node p at in/0@1", err)
	}
	if n != 2 {
		t.Errorf("%d records taken, want 2", n)
	}
	if _, again := s.task.Begin(); again != err {
		t.Errorf("Begin returned %v, want the same error", again)
	}
	if again := s.task.Finish(nil); again != err {
		t.Errorf("Finish returned %v, want the same error", again)
	}
	if s.task.Err() != err {
		t.Errorf("Err returned %v", s.task.Err())
	}
}

func TestSkipIsLocalToTheNode(t *testing.T) {
	t.Parallel()
	always := -1
	s := policyShell(t, failing(&always), processor.ErrorPolicy{Process: processor.Skip, Decode: processor.Skip})
	s.add("in", in("k", "1", 1), in("k", "x", 2), in("k", "bad", 3), in("k", "neg", -3))
	s.run()
	s.wantOpen("out k=1@1", "all k=1@1", "all k=x@2")
	if want := []string{"p: error in process", "source-in: error in decode", "source-in: error in decode"}; !slices.Equal(s.drops, want) {
		t.Errorf("dropped %q, want %q", s.drops, want)
	}
	s.commit()
	if got := s.offsets[Partition{"in", 0}].Offset; got != 4 {
		t.Errorf("committed offset %d, want 4: behind the skipped records", got)
	}
	if got := s.task.Dropped()["error in decode"]; got != 2 {
		t.Errorf("%d counted, want 2", got)
	}
}

func TestDeadLetterCarriesTheInputRecord(t *testing.T) {
	t.Parallel()
	always := -1
	s := policyShell(t, failing(&always), processor.ErrorPolicy{Process: processor.DeadLetter, Decode: processor.DeadLetter, DeadLetterTopic: "dead"})
	poison := in("k", "x", 2)
	poison.Headers = processor.Headers{{Key: "h", Value: []byte("v")}}
	s.add("in", poison, in("k", "bad", 3), in("", "neg", -1))
	s.run()
	if len(s.raw) != 4 {
		t.Fatalf("sent %q", s.open)
	}
	want := []string{
		"dead k=x@2 h=v error=boom phase=process node=p topic=in partition=0 offset=0",
		"dead k=bad@3 error=not a string phase=decode node=source-in topic=in partition=0 offset=1",
		"dead =neg@-1 error=timestamp -1 is negative phase=decode node=source-in topic=in partition=0 offset=2",
	}
	for i, out := range []graph.Output{s.raw[0], s.raw[2], s.raw[3]} {
		got := fmt.Sprintf("%s %s=%s@%d", out.Topic, out.Key, out.Value, out.Timestamp)
		for _, h := range out.Headers {
			got += fmt.Sprintf(" %s=%s", strings.TrimPrefix(h.Key, "millrace."), h.Value)
		}
		if got != want[i] {
			t.Errorf("dead letter\n%s, want\n%s", got, want[i])
		}
	}
	if s.from[0].Offset != 0 || s.from[2].Offset != 1 {
		t.Errorf("the letters come from %v", s.from)
	}
}

func TestDeadLetterWithoutTopicFails(t *testing.T) {
	t.Parallel()
	always := -1
	s := policyShell(t, failing(&always), processor.ErrorPolicy{Handle: func(*processor.Error) processor.Action { return processor.DeadLetter }})
	s.add("in", in("k", "x", 2))
	if _, err := s.task.Process(time.UnixMilli(0), 1); !errors.Is(err, errBoom) || !strings.Contains(err.Error(), "no DeadLetterTopic") {
		t.Fatalf("got %v", err)
	}
}

func TestRetryInPlace(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		failures int
		want     string
		slept    []time.Duration
	}{
		{2, "out k=x@2", []time.Duration{time.Second, 2 * time.Second}},
		{-1, "", []time.Duration{time.Second, 2 * time.Second}},
	} {
		var slept []time.Duration
		s := newShell(t, failing(&test.failures), "in")
		s.cfg.Policy = processor.ErrorPolicy{Process: processor.Retry, Retries: 2, RetryBackoff: time.Second, Exhausted: processor.Skip}
		s.cfg.Sleep = func(_ context.Context, d time.Duration) error { slept = append(slept, d); return nil }
		s.start()
		s.add("in", in("k", "x", 2))
		s.run()
		want := []string{"all k=x@2"}
		if test.want != "" {
			want = []string{test.want, want[0]}
		}
		s.wantOpen(want...)
		if !slices.Equal(slept, test.slept) {
			t.Errorf("slept %v, want %v", slept, test.slept)
		}
	}
}

func TestRetryWithStoresReplays(t *testing.T) {
	t.Parallel()
	always := -1
	s := newShell(t, failing(&always, "store"), "in")
	s.cfg.Policy = processor.ErrorPolicy{Process: processor.Retry, Retries: 2, Exhausted: processor.Skip}
	process := func() error {
		s.start()
		s.add("in", in("k", "1", 1), in("k", "x", 2))
		_, err := s.task.Process(time.UnixMilli(0), 10)
		return err
	}
	for range 2 {
		var replay *ReplayError
		if err := process(); !errors.As(err, &replay) || !errors.Is(err, errBoom) {
			t.Fatalf("got %v, want a replay", err)
		}
	}
	if err := process(); err != nil {
		t.Fatal(err)
	}
	s.commit()
	if want := []string{"out k=1@1", "all k=1@1", "all k=x@2"}; !slices.Equal(s.committed, want) {
		t.Errorf("committed %q, want %q", s.committed, want)
	}
	if len(s.cfg.Memory.replays) != 0 {
		t.Errorf("remembers %v after the commit", s.cfg.Memory.replays)
	}
}

func TestTooLargeRecords(t *testing.T) {
	t.Parallel()
	never := 0
	large := strings.Repeat("x", 200)
	for _, test := range []struct {
		action processor.Action
		want   []string
	}{
		{processor.Skip, []string{"all k=" + large + "@1"}},
		{processor.Retry, []string{"all k=" + large + "@1"}},
		{processor.DeadLetter, []string{"dead k=" + large + "@1", "all k=" + large + "@1"}},
	} {
		s := newShell(t, failing(&never), "in")
		s.limit["out"] = 250
		s.cfg.Policy = processor.ErrorPolicy{Produce: test.action, DeadLetterTopic: "dead", Exhausted: processor.Skip}
		s.start()
		s.add("in", in("k", large, 1))
		s.run()
		s.wantOpen(test.want...)
	}
	s := newShell(t, failing(&never), "in")
	s.limit["out"] = 250
	s.start()
	s.add("in", in("k", large, 1))
	var e *TooLargeError
	if _, err := s.task.Process(time.UnixMilli(0), 1); !errors.As(err, &e) || e.Topic != "out" || e.Limit != 250 || e.Size < 201 {
		t.Fatalf("got %v, want that the record is too large", err)
	}
}

// Each punctuator has its own limit of retries. Another punctuator that succeeds does not
// reset it, and neither do commits without the failing one.
func TestRetryOfOneOfTwoPunctuators(t *testing.T) {
	t.Parallel()
	b := &builder{}
	b.process("p", func(p *fakeProcessor) {
		p.t.Schedule(p.n, processor.WallClock, time.Time{}, 10*time.Millisecond, func(time.Time) error { return nil })
		p.t.Schedule(p.n, processor.WallClock, time.Time{}, 10*time.Millisecond, func(time.Time) error { return errBoom })
	}, nil, b.source(false, "in"))
	s := newShell(t, b.graph(), "in")
	s.cfg.Policy = processor.ErrorPolicy{Process: processor.Retry, Retries: 2}
	for round := range int64(3) {
		s.cfg.Now = time.UnixMilli(10 * round)
		s.start()
		s.commit()
		_, err := s.task.Punctuate(time.UnixMilli(10 * (round + 1)))
		var replay *ReplayError
		if !errors.Is(err, errBoom) || errors.As(err, &replay) != (round < 2) {
			t.Errorf("time %d: %v", round+1, err)
		}
	}
}

func TestPanicsBecomeErrors(t *testing.T) {
	t.Parallel()
	b := &builder{}
	b.process("p", nil, func(*fakeProcessor, *rec) error { panic(errBoom) }, b.source(false, "in"))
	s := policyShell(t, b.graph(), processor.ErrorPolicy{})
	s.add("in", in("k", "1", 1))
	_, err := s.task.Process(time.UnixMilli(0), 1)
	var p *processor.PanicError
	if !errors.As(err, &p) || !errors.Is(err, errBoom) || !strings.Contains(err.Error(), "node p: process: record in/0@0: panic: boom") {
		t.Fatalf("got %v, want the panic with its place", err)
	}

	// An error outside of all nodes ends the task under any policy.
	b = &builder{}
	n := b.process("q", nil, nil, b.source(false, "in"))
	n.New = func(graph.Task, *graph.Node, []any) (any, error) { return broken{}, nil }
	s = policyShell(t, b.graph(), processor.ErrorPolicy{Process: processor.Skip})
	s.add("in", in("k", "1", 1))
	if _, err := s.task.Process(time.UnixMilli(0), 1); !errors.As(err, &p) || !strings.Contains(err.Error(), "in/0@0") {
		t.Fatalf("got %v, want the panic with its place", err)
	}
}

type broken struct{}

func (broken) Receive(*rec) error { panic("broken") }

func TestHandlersThatMisbehaveFail(t *testing.T) {
	t.Parallel()
	for _, handle := range []func(*processor.Error) processor.Action{
		func(*processor.Error) processor.Action { panic("handler") },
		func(*processor.Error) processor.Action { return 17 },
	} {
		always := -1
		s := policyShell(t, failing(&always), processor.ErrorPolicy{Handle: handle})
		s.add("in", in("k", "x", 1))
		if _, err := s.task.Process(time.UnixMilli(0), 1); !errors.Is(err, errBoom) || !strings.Contains(err.Error(), "ErrorPolicy.Handle") {
			t.Errorf("got %v", err)
		}
	}
}

// If a function gives up because the task has to stop, its record is not skipped.
func TestStoppingIsNoErrorOfTheRecord(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	b := &builder{}
	b.process("p", nil, func(p *fakeProcessor, _ *rec) error { cancel(); return p.t.Context().Err() }, b.source(false, "in"))
	s := newShell(t, b.graph(), "in")
	s.cfg.Context = ctx
	s.cfg.Policy = processor.ErrorPolicy{Process: processor.Skip}
	s.start()
	s.add("in", in("k", "1", 1))
	if _, err := s.task.Process(time.UnixMilli(0), 1); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the end of the context", err)
	}
}

// The same holds for a function that is retried.
func TestStoppingWhileRetrying(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	b := &builder{}
	b.process("p", nil, func(p *fakeProcessor, _ *rec) error {
		if p.t.Context().Err() == nil {
			defer cancel()
			return errBoom
		}
		return p.t.Context().Err()
	}, b.source(false, "in"))
	s := newShell(t, b.graph(), "in")
	s.cfg.Context = ctx
	s.cfg.Policy = processor.ErrorPolicy{Process: processor.Retry, Retries: 1, Exhausted: processor.Skip}
	s.start()
	s.add("in", in("k", "1", 1))
	if _, err := s.task.Process(time.UnixMilli(0), 1); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the end of the context", err)
	}
}

// If the timestamp of a record cannot be extracted, the record counts as taken, like one
// that fails later. The shell therefore knows how far it may process again.
func TestFailureOfATimestampIsTaken(t *testing.T) {
	t.Parallel()
	s := policyShell(t, failing(new(int)), processor.ErrorPolicy{})
	s.add("in", in("k", "1", 1), in("k", "2", -1))
	if n, err := s.task.Process(time.UnixMilli(0), 10); n != 2 || err == nil {
		t.Fatalf("%d records taken, %v; want 2, the last of which failed", n, err)
	}
}

func TestFailureToSendEndsTheTask(t *testing.T) {
	t.Parallel()
	never := 0
	s := policyShell(t, failing(&never), processor.ErrorPolicy{Process: processor.Skip, Produce: processor.Skip})
	s.refuse = func(graph.Output) error { return errBoom }
	s.add("in", in("k", "1", 1))
	if _, err := s.task.Process(time.UnixMilli(0), 1); !errors.Is(err, errBoom) {
		t.Fatalf("got %v, want the failure of the producer", err)
	}
}
