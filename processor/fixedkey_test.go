package processor_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

type (
	fixedCtx = processor.FixedKeyContext[string, string]
	fixedRec = processor.FixedKeyRecord[string, string]
)

// fixed is a FixedKeyProcessor of functions.
type fixed struct {
	init    func(fixedCtx) error
	process func(fixedCtx, fixedRec) error
	flush   func(fixedCtx) error
	close   func() error
}

func (p *fixed) Init(ctx fixedCtx) error                { return p.init(ctx) }
func (p *fixed) Process(ctx fixedCtx, r fixedRec) error { return p.process(ctx, r) }
func (p *fixed) Flush(ctx fixedCtx) error               { return p.flush(ctx) }
func (p *fixed) Close() error                           { return p.close() }

// newFixed returns a constructor of processors that do what f sets, and else nothing.
func newFixed(f func(*fixed)) func() *fixed {
	return func() *fixed {
		p := &fixed{
			init:    func(fixedCtx) error { return nil },
			process: func(fixedCtx, fixedRec) error { return nil },
			flush:   func(fixedCtx) error { return nil },
			close:   func() error { return nil },
		}
		f(p)
		return p
	}
}

// world is a topology with a fixed-key processor between the topics in and out.
type world struct {
	d  *topologytest.Driver
	in *topologytest.InputTopic[string, string]
}

// run builds the topology in -> p -> out. more may add operators behind the processor.
func run(t *testing.T, f func(*fixed), more func(topology.Stream[string, string]), opts ...topologytest.Option) world {
	t.Helper()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	s := topology.ProcessValues(in, "p", newFixed(f), serde.String, words)
	s.To("out", topology.Named("to-out"))
	if more != nil {
		more(s)
	}
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo, opts...)
	return world{d, topologytest.Input(d, "in", serde.String, serde.String)}
}

var words = state.KeyValue("words", serde.String, serde.String)

func (w world) expect(t *testing.T, topic string, want ...string) {
	t.Helper()
	var got []string
	for _, r := range topologytest.Output(w.d, topic, serde.String, serde.String).Records() {
		text := fmt.Sprintf("%s:%s@%d", r.Key, r.Value, int64(r.Timestamp))
		if r.NoValue {
			text = fmt.Sprintf("%s@%d", r.Key, int64(r.Timestamp))
		}
		if v, ok := r.Headers.Get("h"); ok {
			text += " h=" + string(v)
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", topic, got, want)
	}
}

// A record keeps its key. Value, timestamp and headers can be changed.
func TestFixedKeyRecords(t *testing.T) {
	t.Parallel()
	w := run(t, func(p *fixed) {
		p.process = func(ctx fixedCtx, r fixedRec) error {
			ctx.Forward(r)
			ctx.Forward(processor.WithFixedKeyValue(r, fmt.Sprint(len(r.Value()), r.NoKey(), r.NoValue())))
			ctx.Forward(r.WithTimestamp(r.Timestamp() + 1).WithHeaders(r.Headers().With("h", []byte("x"))))
			ctx.Forward(r.WithoutValue())
			ctx.ForwardTo("to-named", r)
			return nil
		}
	}, func(s topology.Stream[string, string]) { s.To("named", topology.Named("to-named")) })
	w.in.Send("k", "abc", time.UnixMilli(5))
	w.expect(t, "out", "k:abc@5", "k:3 false false@5", "k:abc@6 h=x", "k@5")
	w.expect(t, "named", "k:abc@5", "k:3 false false@5", "k:abc@6 h=x", "k@5", "k:abc@5")
}

// Behind ProcessValues, grouping by key needs no repartition topic unless the key has
// changed before.
func TestFixedKeyNeedsNoRepartition(t *testing.T) {
	t.Parallel()
	for name, rekeyed := range map[string]bool{"same key": false, "new key": true} {
		b := topology.New()
		s := topology.Source(b, "in", serde.String, serde.String)
		if rekeyed {
			s = topology.SelectKey(s, func(r processor.Record[string, string]) string { return r.Value }, serde.String)
		}
		s = topology.ProcessValues(s, "p", newFixed(func(*fixed) {}), serde.String)
		topology.GroupByKey(s, "by-key").Count("counts")
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		text := topo.Describe().String()
		if got := strings.Contains(text, "repartition"); got != rekeyed || !strings.Contains(text, "Processor: p (stores: [])") {
			t.Errorf("%s: a repartition topic: %v\n%s", name, got, text)
		}
	}
}

// The processor has stores, punctuators with a phase that can be cancelled, metadata,
// positions, commits, and calls before a commit and at the end.
func TestFixedKeyContext(t *testing.T) {
	t.Parallel()
	var calls []string
	note := func(format string, args ...any) { calls = append(calls, fmt.Sprintf(format, args...)) }
	w := run(t, func(p *fixed) {
		var last fixedRec
		var store state.KeyValueStore[string, string]
		p.init = func(ctx fixedCtx) error {
			store = state.Open(ctx.Stores(), words)
			var s processor.Schedule
			s = ctx.EveryFrom(time.UnixMilli(500), time.Second, processor.StreamTime, func(ctx fixedCtx, now time.Time) error {
				note("punctuated at %d, stream time %d", now.UnixMilli(), int64(ctx.StreamTime()))
				ctx.Forward(processor.WithFixedKeyValue(last, "later"))
				s.Cancel()
				return nil
			})
			return nil
		}
		p.process = func(ctx fixedCtx, r fixedRec) error {
			m := ctx.Metadata()
			before, ok, err := store.Get(r.Key())
			n, _ := ctx.Position("n")
			ctx.SetPosition("n", n+1)
			note("%s-%d@%d after %q %v, position %d, task %v", m.Topic, m.Partition, m.Offset, before, ok, n, ctx.Task())
			last = r
			ctx.OnCommitted(func() { note("committed") })
			ctx.Commit()
			return errors.Join(err, store.Put(r.Key(), r.Value()))
		}
		p.flush = func(ctx fixedCtx) error { note("flush"); return nil }
		p.close = func() error { note("close"); return nil }
	}, nil)
	w.in.Send("k", "a", time.UnixMilli(1000))
	w.in.Send("k", "b", time.UnixMilli(1600))
	w.in.Send("k", "c", time.UnixMilli(5000))
	w.d.Restart()
	for _, want := range []string{
		`in-0@0 after "" false, position 0, task 0_0`,
		`in-0@1 after "a" true, position 1, task 0_0`,
		`in-0@2 after "b" true, position 2, task 0_0`,
		"flush", "committed", "close",
	} {
		if !slices.Contains(calls, want) {
			t.Errorf("no call %q in %q", want, calls)
		}
	}
	if n := len(slices.DeleteFunc(slices.Clone(calls), func(c string) bool { return !strings.HasPrefix(c, "punctuated") })); n != 1 {
		t.Errorf("%d punctuations, want 1: %q", n, calls)
	}
	w.expect(t, "out", "k:later@1000")
}

// Records that a processor has not been given cannot be forwarded, nor can anything be
// forwarded with the context for stores.
func TestFixedKeyMisuse(t *testing.T) {
	t.Parallel()
	for want, process := range map[string]func(fixedCtx, fixedRec) error{
		"zero FixedKeyRecord": func(ctx fixedCtx, r fixedRec) error {
			ctx.Forward(processor.WithFixedKeyValue(fixedRec{}, "v"))
			return nil
		},
		"is not a child": func(ctx fixedCtx, r fixedRec) error { ctx.ForwardTo("nobody", r); return nil },
		"only opens stores": func(ctx fixedCtx, r fixedRec) error {
			ctx.Stores().Forward(processor.Record[struct{}, struct{}]{})
			return nil
		},
		"the punctuator is nil": func(ctx fixedCtx, r fixedRec) error {
			ctx.Every(time.Second, processor.WallClock, nil)
			return nil
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w := run(t, func(p *fixed) { p.process = process }, nil)
			if err := w.d.Try(func() { w.in.Send("k", "v", time.UnixMilli(1)) }); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
}

// Build reports constructors that cannot be used.
func TestFixedKeyConstructors(t *testing.T) {
	t.Parallel()
	one := newFixed(func(*fixed) {})()
	for want, newP := range map[string]func() *fixed{
		"the function is nil": nil,
		"returned nil":        func() *fixed { return nil },
		"the same processor":  func() *fixed { return one },
	} {
		b := topology.New()
		topology.ProcessValues(topology.Source(b, "in", serde.String, serde.String), "p", newP, serde.String).To("out")
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
