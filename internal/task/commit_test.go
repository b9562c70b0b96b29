package task

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// flushing has two nodes that forward their name when they are flushed. They register in
// the wrong order.
func flushing(fail error) *graph.Graph {
	b := &builder{}
	source := b.source(false, "in")
	flush := func(p *fakeProcessor) {
		p.t.OnFlush(p.n, func() error {
			if fail != nil {
				return fail
			}
			return p.forward(p.n.Name, p.t.Metadata().Topic, 1)
		})
	}
	swallow := func(*fakeProcessor, *rec) error { return nil }
	first := b.process("first", flush, swallow, source)
	second := b.process("second", flush, swallow, source)
	b.sink("out", first, second)
	return b.graph()
}

func TestFlushParentsFirst(t *testing.T) {
	t.Parallel()
	s := newShell(t, flushing(nil), "in")
	s.start()
	s.commit()
	s.add("in", in("k", "1", 1))
	s.run()
	s.commit()
	if want := []string{"out first=@1", "out second=@1"}; !slices.Equal(s.committed, want) {
		t.Errorf("committed %q, want %q: nothing at the first commit, which has nothing to commit", s.committed, want)
	}
}

func TestErrorsInFlush(t *testing.T) {
	t.Parallel()
	s := newShell(t, flushing(errBoom), "in")
	s.start()
	s.add("in", in("k", "1", 1))
	s.run()
	var e *processor.Error
	if _, err := s.task.Begin(); !errors.As(err, &e) || e.Node != "first" || e.Topic != "" {
		t.Fatalf("got %v, want boom in node first", err)
	}
	s.cfg.Policy.Process = processor.Skip
	s.abort()
	s.add("in", in("k", "1", 1))
	s.run()
	s.commit()
	if len(s.drops) != 2 {
		t.Errorf("dropped %q, want both", s.drops)
	}
}

// node makes a graph with one node of the function, which gets the node's view of the
// task.
func node(process func(t graph.Task, r *rec) error) *graph.Graph {
	b := &builder{}
	b.process("p", nil, func(p *fakeProcessor, r *rec) error { return process(p.t, r) }, b.source(false, "in", "other"))
	return b.graph()
}

func TestOffsetsOnlyOfWhatMoved(t *testing.T) {
	t.Parallel()
	s := newShell(t, node(func(graph.Task, *rec) error { return nil }), "in", "other")
	s.start()
	s.add("in", in("k", "1", 70))
	s.run()
	c, err := s.task.Begin()
	if err != nil {
		t.Fatal(err)
	}
	m, _ := decodeMetadata(c.Offsets[0].Metadata)
	if len(c.Offsets) != 1 || c.Offsets[0].Topic != "in" || c.Offsets[0].Offset != 1 || m.partitionTime != 70 || m.values != nil {
		t.Fatalf("commits %v, want in at 1 with partition time 70 only", c.Offsets)
	}
	if _, err := s.task.Begin(); !errors.Is(err, errBegun) {
		t.Fatalf("a second Begin returned %v", err)
	}
}

// Values that change without a record from any partition are committed too, with the
// position of one of the partitions.
func TestPositionsWithoutInput(t *testing.T) {
	t.Parallel()
	b := &builder{}
	b.process("p", func(p *fakeProcessor) {
		cell := p.t.Position("p/batch")
		p.t.Schedule(p.n, processor.WallClock, time.Time{}, time.Second, func(now time.Time) error {
			cell.Value, cell.Set = now.UnixMilli(), true
			return nil
		})
	}, nil, b.source(false, "in"))
	s := newShell(t, b.graph(), "in")
	s.offsets[Partition{"in", 0}] = Committed{Topic: "in", Offset: 33}
	s.start()
	if _, err := s.task.Punctuate(time.UnixMilli(1000)); err != nil {
		t.Fatal(err)
	}
	if !s.task.Dirty() {
		t.Error("not dirty after a punctuator")
	}
	s.commit()
	if got := s.offsets[Partition{"in", 0}].Offset; got != 33 {
		t.Errorf("committed offset %d, want 33, where it was", got)
	}
	s.abort()
	if p := s.task.nodes.Position("p/batch"); !p.Set || p.Value != 1000 {
		t.Errorf("restored %v, want 1000", *p)
	}
	if s.task.Dirty() {
		t.Error("dirty at the start")
	}
}

func TestAbortForgets(t *testing.T) {
	t.Parallel()
	s := newShell(t, node(func(t graph.Task, r *rec) error {
		cell := t.Position("n")
		cell.Value, cell.Set = cell.Value+1, true
		*t.Time("w") = r.Timestamp
		t.OnCommitted(func() { panic("of an aborted transaction") })
		t.RequestCommit()
		return nil
	}), "in")
	s.start()
	s.add("in", in("k", "1", 70))
	s.run()
	if !s.task.CommitRequested() {
		t.Error("the commit was not requested")
	}
	s.abort()
	if p := s.task.nodes.Position("n"); p.Set || *s.task.nodes.Time("w") != -1 || s.task.StreamTime() != -1 || s.task.CommitRequested() {
		t.Errorf("left after the abort: %v, %d, %d", *p, *s.task.nodes.Time("w"), s.task.StreamTime())
	}
	s.commit()
}

// If a partition did not move while others did, its metadata is old. The newer metadata
// wins.
func TestNewestMetadataWins(t *testing.T) {
	t.Parallel()
	s := newShell(t, node(func(t graph.Task, r *rec) error {
		*t.Time("w") = max(*t.Time("w"), r.Timestamp)
		cell := t.Position("down")
		cell.Value, cell.Set = -int64(r.Timestamp), true
		return nil
	}), "in", "other")
	s.start()
	s.add("in", in("k", "1", 5))
	s.run()
	s.commit()
	s.add("other", in("k", "1", 9))
	s.run()
	s.commit()
	s.abort()
	if w, p := *s.task.nodes.Time("w"), s.task.nodes.Position("down"); w != 9 || p.Value != -9 || s.task.StreamTime() != 9 {
		t.Errorf("restored %d, %d, stream time %d; want 9, -9, 9", w, p.Value, s.task.StreamTime())
	}
}

func TestOnCommitted(t *testing.T) {
	t.Parallel()
	var called []string
	s := newShell(t, node(func(t graph.Task, r *rec) error {
		value := r.Value
		t.OnCommitted(func() { called = append(called, value) })
		return nil
	}), "in")
	s.start()
	s.add("in", in("k", "1", 1), in("k", "2", 2))
	if _, err := s.task.Process(time.UnixMilli(0), 1); err != nil {
		t.Fatal(err)
	}
	c, err := s.task.Begin()
	if err != nil {
		t.Fatal(err)
	}
	s.run() // belongs to the next transaction
	s.confirm(c)
	if !slices.Equal(called, []string{"1"}) {
		t.Errorf("called for %q, want 1 alone", called)
	}
	s.commit()
	if !slices.Equal(called, []string{"1", "2"}) {
		t.Errorf("called for %q", called)
	}
}

// If a function panics, the other functions are still called, and the task ends.
func TestPanicInOnCommitted(t *testing.T) {
	t.Parallel()
	var called []string
	s := newShell(t, node(func(t graph.Task, r *rec) error {
		value := r.Value
		t.OnCommitted(func() {
			called = append(called, value)
			if value == "2" {
				panic("when told")
			}
		})
		return nil
	}), "in")
	s.start()
	s.add("in", in("k", "1", 1), in("k", "2", 2), in("k", "3", 3))
	s.run()
	if _, err := s.task.Begin(); err != nil {
		t.Fatal(err)
	}
	if err := s.task.Finish(nil); err == nil || !strings.Contains(err.Error(), "OnCommitted: panic: when told") {
		t.Errorf("Finish returned %v", err)
	}
	if !slices.Equal(called, []string{"1", "2", "3"}) {
		t.Errorf("called for %q", called)
	}
	if s.task.Err() == nil {
		t.Error("the task goes on")
	}
}

func TestTooMuchMetadataFails(t *testing.T) {
	t.Parallel()
	s := newShell(t, node(func(t graph.Task, r *rec) error {
		for i := range 100 {
			*t.Time(strings.Repeat("n", 20) + string(rune('a'+i))) = 1
		}
		return nil
	}), "in")
	s.start()
	s.add("in", in("k", "1", 1))
	s.run()
	if _, err := s.task.Begin(); err == nil || !strings.Contains(err.Error(), "offset metadata") {
		t.Fatalf("got %v, want that the metadata are too long", err)
	}
}

func TestCloseChildrenFirst(t *testing.T) {
	t.Parallel()
	var closed []string
	b := &builder{}
	init := func(p *fakeProcessor) {
		p.t.OnClose(p.n, func() error {
			closed = append(closed, p.n.Name)
			if p.n.Name == "child" {
				panic("at the end")
			}
			return nil
		})
	}
	b.process("child", init, nil, b.process("parent", init, nil, b.source(false, "in")))
	s := newShell(t, b.graph(), "in")
	s.start()
	if err := s.task.Close(); err == nil || !strings.Contains(err.Error(), "close node child") {
		t.Errorf("Close returned %v, want the panic of child", err)
	}
	if !slices.Equal(closed, []string{"child", "parent"}) {
		t.Errorf("closed %q", closed)
	}
	if err := s.task.Close(); err != nil {
		t.Errorf("a second Close returned %v", err)
	}
	if _, err := s.task.Process(time.UnixMilli(0), 1); !errors.Is(err, errClosed) {
		t.Errorf("Process after Close returned %v", err)
	}
}

func TestNewReportsWhatIsWrong(t *testing.T) {
	t.Parallel()
	b := &builder{}
	n := b.process("p", nil, nil, b.source(false, "in"))
	n.New = func(graph.Task, *graph.Node, []any) (any, error) { panic("in Init") }
	for _, test := range []struct {
		cfg  Config
		want string
	}{
		{Config{Graph: b.graph()}, "task 0_0: node p: panic: in Init"},
		{Config{Graph: pass("in"), Inputs: []Committed{{Topic: "out"}}}, "topic out is not one that the sub-topology reads"},
	} {
		if _, err := New(test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("New returned %v, want %q", err, test.want)
		}
	}
}

func TestErrorsInFlushNameTheOrigin(t *testing.T) {
	t.Parallel()
	b := &builder{}
	var named processor.Metadata
	flush := func(p *fakeProcessor) {
		p.t.OnFlush(p.n, func() error {
			graph.SetOrigin(p.t, processor.Metadata{Topic: "in", Partition: 3, Offset: 17}, nil)
			named = p.t.Metadata()
			return p.forward("k", "v", 1)
		})
	}
	table := b.process("table", flush, func(*fakeProcessor, *rec) error { return nil }, b.source(false, "in"))
	b.process("after", nil, func(*fakeProcessor, *rec) error { return errBoom }, table)
	s := newShell(t, b.graph(), "in")
	s.cfg.Policy = processor.ErrorPolicy{Process: processor.DeadLetter, DeadLetterTopic: "dead"}
	s.start()
	s.add("in", in("k", "1", 1))
	s.run()
	s.commit()
	if len(s.raw) != 1 || s.from[0] != named || named.Offset != 17 {
		t.Fatalf("sent %q from %v, want a dead letter from offset 17", s.committed, s.from)
	}
	if offset, _ := s.raw[0].Headers.Get(processor.DeadLetterOffset); string(offset) != "17" {
		t.Errorf("the letter names offset %s", offset)
	}
	if m := s.task.nodes.Metadata(); m != noRecord {
		t.Errorf("metadata after the flush: %v", m)
	}
}
