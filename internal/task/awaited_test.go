package task

import (
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// processing is the instance of a node that runs a processor.
type processing struct {
	*fakeProcessor
	patient bool
}

func (p processing) Patient() bool { return p.patient }

// processor adds a node that runs a processor. It forwards a record at each flush.
func (b *builder) processor(name string, patient bool, parents ...*graph.Node) *graph.Node {
	n := b.process(name, nil, nil, parents...)
	n.New = func(t graph.Task, n *graph.Node, children []any) (any, error) {
		p := &fakeProcessor{t: t, n: n, children: children, process: func(*fakeProcessor, *rec) error { return nil }}
		t.OnFlush(n, func() error { return p.forward("", "flushed", 1) })
		return processing{p, patient}, nil
	}
	return n
}

func (b *builder) passing(parents ...*graph.Node) *graph.Node {
	return b.process("pass", nil, func(p *fakeProcessor, r *rec) error { return deliver(p.children, r) }, parents...)
}

func TestAwaited(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		build func(b *builder, source *graph.Node)
		want  bool
	}{
		{"a source alone", func(*builder, *graph.Node) {}, false},
		{"a sink", func(b *builder, s *graph.Node) { b.sink("out", s) }, true},
		{"a node without children", func(b *builder, s *graph.Node) { b.passing(s) }, true},
		{"a patient processor", func(b *builder, s *graph.Node) { b.processor("p", true, b.passing(s)) }, false},
		{"another processor", func(b *builder, s *graph.Node) { b.processor("p", false, b.passing(s)) }, true},
		{"a patient processor in front of a sink", func(b *builder, s *graph.Node) { b.sink("out", b.processor("p", true, s)) }, false},
		{"a patient processor behind another one", func(b *builder, s *graph.Node) { b.processor("p", true, b.processor("q", false, s)) }, true},
		{"a patient processor beside a sink", func(b *builder, s *graph.Node) { b.processor("p", true, s); b.sink("out", b.passing(s)) }, true},
		{"a patient processor behind a store", func(b *builder, s *graph.Node) {
			with := b.passing(s)
			with.Stores = []string{"s"}
			b.processor("p", true, with)
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := &builder{}
			test.build(b, b.source(false, "in"))
			s := newShell(t, b.graph(), "in")
			s.start()
			for offset := range int64(2) {
				if s.task.Awaited() {
					t.Error("awaited before a record")
				}
				record := in("k", "v", 1)
				record.Topic, record.Offset = "in", offset
				if err := s.task.Add("in", 0, []graph.Input{record}, 0); err != nil {
					t.Fatal(err)
				}
				s.run()
				if !s.task.Dirty() || s.task.Awaited() != test.want {
					t.Errorf("dirty %v, awaited %v, want true and %v", s.task.Dirty(), s.task.Awaited(), test.want)
				}
				s.commit()
			}
		})
	}
}

// Somebody may wait for what a punctuator does, whatever its node is.
func TestPunctuationIsAwaited(t *testing.T) {
	t.Parallel()
	b := &builder{}
	n := b.processor("p", true, b.source(false, "in"))
	s := newShell(t, b.graph(), "in")
	s.start()
	s.task.schedule(n, processor.WallClock, time.Time{}, time.Second, func(time.Time) error { return nil })
	if _, err := s.task.Punctuate(time.UnixMilli(1000)); err != nil {
		t.Fatal(err)
	}
	if !s.task.Awaited() {
		t.Error("not awaited after a punctuator")
	}
}
