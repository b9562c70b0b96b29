package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

type ctx = processor.Context[string, string]

// funcs is a processor of functions.
type funcs struct {
	init    func(ctx) error
	process func(ctx, rec) error
}

func (p *funcs) Init(c ctx) error {
	if p.init == nil {
		return nil
	}
	return p.init(c)
}

func (p *funcs) Process(c ctx, r rec) error {
	if p.process == nil {
		return nil
	}
	return p.process(c, r)
}

// full is a processor that implements all optional interfaces.
type full struct {
	funcs
	flush func(ctx) error
	close func() error
}

func (p *full) Flush(c ctx) error { return p.flush(c) }
func (p *full) Close() error      { return p.close() }

// processed makes the topology in -> p -> out with the functions of p.
func processed(p funcs, stores ...processor.StoreSpec) (*Builder, Stream[string, string]) {
	b := New()
	s := Process(Source(b, "in", serde.String, serde.String), "p", func() *funcs { return &funcs{p.init, p.process} }, serde.String, serde.String, stores...)
	return b, s
}

func TestProcessForwards(t *testing.T) {
	t.Parallel()
	b, s := processed(funcs{process: func(c ctx, r rec) error {
		c.Forward(r)
		r.Value += "!"
		c.ForwardTo("second", r)
		return nil
	}})
	s.To("one", Named("first"))
	s.To("two", Named("second"))
	f := run(t, b)
	f.Feed("in", "a:x@1", "-:-@2")
	f.Expect("one a:x@1", "two a:x@1", "two a:x!@1", "one -:-@2", "two -:-@2", "two -:-@2")
}

func TestProcessMisuse(t *testing.T) {
	t.Parallel()
	for want, process := range map[string]func(c ctx, r rec) error{
		`ForwardTo: "nobody" is not a child`: func(c ctx, r rec) error { c.ForwardTo("nobody", r); return nil },
		"the timestamp -5 is negative":       func(c ctx, r rec) error { r.Timestamp = -5; c.Forward(r); return nil },
		"shorter than a millisecond": func(c ctx, r rec) error {
			c.Every(time.Microsecond, processor.WallClock, func(ctx, time.Time) error { return nil }).Cancel()
			return nil
		},
		"the punctuator is nil":        func(c ctx, r rec) error { c.Every(time.Second, processor.WallClock, nil); return nil },
		"was not given store \"none\"": func(c ctx, r rec) error { _, err := c.Store("none"); return err },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			b, s := processed(funcs{process: process})
			s.To("out")
			f := run(t, b, graphtest.WithPolicy(processor.Skip))
			f.Feed("in", "a:x@1", "a:x@2")
			if len(f.Failures) != 2 || !strings.Contains(f.Failures[0], want) || !strings.HasPrefix(f.Failures[0], "p: process: ") {
				t.Errorf("failures %q", f.Failures)
			}
		})
	}
}

// TestChildFailureIsSticky: when a child has failed the task, the record ends, and the
// policy hears only of the child's error.
func TestChildFailureIsSticky(t *testing.T) {
	t.Parallel()
	b, s := processed(funcs{process: func(c ctx, r rec) error {
		c.Forward(r)
		c.Forward(r)
		return errors.New("mine")
	}})
	s.ForEach(func(rec) error { return errors.New("child") }, Named("child"))
	s.To("out")
	f := run(t, b)
	f.Feed("in", "a:x@1")
	f.Expect()
	if !slices.Equal(f.Failures, []string{"child: process: child"}) {
		t.Errorf("failures %q", f.Failures)
	}
}

// TestSiblingsOfASkippedChild: results of siblings stay, and so do records that were
// forwarded before the error.
func TestSiblingsOfASkippedChild(t *testing.T) {
	t.Parallel()
	b, s := processed(funcs{process: func(c ctx, r rec) error {
		c.Forward(r)
		return errors.New("after")
	}})
	s.ForEach(func(rec) error { return errors.New("child") }, Named("child"))
	s.To("out")
	f := run(t, b, graphtest.WithPolicy(processor.Skip))
	f.Feed("in", "a:x@1")
	f.Expect("out a:x@1")
	if !slices.Equal(f.Failures, []string{"child: process: child", "p: process: after"}) {
		t.Errorf("failures %q", f.Failures)
	}
}

func TestNoRetryAfterForwarding(t *testing.T) {
	t.Parallel()
	calls := 0
	b, s := processed(funcs{process: func(c ctx, r rec) error {
		calls++
		c.Forward(r)
		return errors.New("after")
	}})
	s.To("out")
	f := run(t, b, graphtest.WithPolicy(processor.Retry))
	f.Feed("in", "a:x@1")
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func TestProcessContext(t *testing.T) {
	t.Parallel()
	var got []string
	note := func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }
	b, s := processed(funcs{
		init: func(c ctx) error {
			note("init %+v %+v", c.Metadata(), c.StreamTime())
			return nil
		},
		process: func(c ctx, r rec) error {
			n, ok := c.Position("n")
			c.SetPosition("n", n+1)
			note("%d %v %+v %v %v", n, ok, c.Metadata(), int64(c.StreamTime()), c.Now().UnixMilli())
			c.Commit()
			c.Drop("because")
			c.OnCommitted(func() { note("committed") })
			c.Logger().Info("x")
			if c.Context() == nil || c.Task().Partitions != 1 {
				note("no task")
			}
			return nil
		},
	})
	s.To("out")
	f := run(t, b)
	f.Feed("in", "a:x@7", "a:x@5")
	f.Commit()
	want := []string{
		"init {Topic: Partition:-1 Offset:-1} " + processor.Timestamp(-1).String(),
		"0 false {Topic:in Partition:0 Offset:0} 7 1000",
		"1 true {Topic:in Partition:0 Offset:1} 7 1000",
		"committed", "committed",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if p := f.Positions["p/n"]; p == nil || p.Value != 2 || !f.Requested {
		t.Errorf("position %v, requested %v", p, f.Requested)
	}
	f.ExpectDrops("p: because", "p: because")
}

func TestPunctuators(t *testing.T) {
	t.Parallel()
	var schedules int
	b, s := processed(funcs{init: func(c ctx) error {
		schedules++
		c.Every(time.Second, processor.StreamTime, func(c ctx, now time.Time) error {
			c.Forward(rec{Key: "now", Value: fmt.Sprint(c.Metadata().Offset)})
			c.Forward(rec{Key: "then", Timestamp: 3})
			return nil
		})
		c.EveryFrom(time.UnixMilli(3), time.Second, processor.WallClock, func(c ctx, now time.Time) error { return errors.New("no") })
		c.Every(time.Second, processor.WallClock, func(c ctx, now time.Time) error { panic("oh") })
		return nil
	}})
	s.To("out")
	f := run(t, b)
	if err := f.Scheduled[0](time.UnixMilli(42)); err != nil {
		t.Error(err)
	}
	f.Expect("out now:-1@42", "out then:@3")
	if err := f.Scheduled[1](time.UnixMilli(42)); err == nil || err.Error() != "no" {
		t.Errorf("error %v", err)
	}
	var panicked *processor.PanicError
	if err := f.Scheduled[2](time.UnixMilli(42)); !errors.As(err, &panicked) {
		t.Errorf("error %v", err)
	}
}

func TestFlushAndClose(t *testing.T) {
	t.Parallel()
	b := New()
	closed := 0
	newP := func() *full {
		return &full{
			flush: func(c ctx) error { c.Forward(rec{Key: "flushed", Timestamp: 9}); return nil },
			close: func() error { closed++; return nil },
		}
	}
	s := Process(Source(b, "in", serde.String, serde.String), "p", newP, serde.String, serde.String)
	Process(s, "q", newP, serde.String, serde.String).To("out")
	f := run(t, b)
	f.Commit()
	f.Expect("out flushed:@9")
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if closed != 2 {
		t.Errorf("closed %d", closed)
	}
}

func TestInitErrors(t *testing.T) {
	t.Parallel()
	for want, init := range map[string]func(ctx) error{
		"node p: method Init: no":                  func(ctx) error { return errors.New("no") },
		"node p: method Init: panic: oh":           func(ctx) error { panic("oh") },
		"node p: method Init: Every: the interval": func(c ctx) error { c.Every(0, processor.WallClock, nil); return nil },
		"node p: method Init: panic: open store x": func(c ctx) error { state.Open(c, state.KeyValue("x", serde.String, serde.String)); return nil },
	} {
		b, _ := processed(funcs{init: init})
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := graphtest.New(t, topo.g); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// TestSharedStore gives one store to two processors behind two sources. They are then in
// one sub-topology.
func TestSharedStore(t *testing.T) {
	t.Parallel()
	b := New()
	store := state.KeyValue("s", serde.String, serde.String)
	newP := func() *funcs {
		var last state.KeyValueStore[string, string]
		return &funcs{
			init: func(c ctx) error { last = state.Open(c, store); return nil },
			process: func(c ctx, r rec) error {
				v, _, err := last.Get(r.Key)
				if err != nil {
					return err
				}
				r.Value = v + r.Value
				c.Forward(r)
				return last.Put(r.Key, r.Value)
			},
		}
	}
	Process(Source(b, "one", serde.String, serde.String), "p", newP, serde.String, serde.String, store).To("out")
	Process(Source(b, "two", serde.String, serde.String), "q", newP, serde.String, serde.String, store).To("out")
	f := run(t, b)
	f.Feed("one", "k:a@1")
	f.Feed("two", "k:b@2")
	f.Expect("out k:a@1", "out k:ab@2")
	if n := len(f.Graph.SubTopologies); n != 1 || len(f.Graph.Stores) != 1 {
		t.Errorf("%d sub-topologies, %d stores", n, len(f.Graph.Stores))
	}
}
