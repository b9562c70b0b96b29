package topologytest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/sessionstore"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
	"github.com/millrace-streams/millrace/windowstore"
)

// hoarder keeps its Context, and calls during in Process.
type hoarder struct {
	ctx      timeless
	store    state.KeyValueStore[string, string]
	schedule processor.Schedule
	during   func(k *hoarder)
	atClose  func(k *hoarder)
}

func (k *hoarder) Init(ctx timeless) error {
	k.ctx, k.store = ctx, state.Open(ctx, forgetfulStore)
	k.schedule = ctx.Every(time.Hour, processor.WallClock, func(timeless, time.Time) error { return nil })
	return nil
}

func (k *hoarder) Process(_ timeless, r record) error {
	if k.during != nil && r.Key == "go" {
		k.during(k)
	}
	return nil
}

func (k *hoarder) Close() error {
	if k.atClose != nil {
		k.atClose(k)
	}
	return nil
}

// keeping starts a topology with the hoarder of its only task.
func keeping(t testing.TB, k *hoarder) (*topologytest.Driver, *topologytest.InputTopic[string, string]) {
	b := topology.New()
	newHoarder := func() *hoarder { *k = hoarder{during: k.during, atClose: k.atClose}; return k }
	newP := func() *fresh { return &fresh{newHoarder()} }
	topology.Process(topology.Source(b, "in", serde.String, serde.String), "p", newP, serde.String, serde.String, forgetfulStore).To("out")
	d := topologytest.New(t, build(t, b))
	return d, topologytest.Input(d, "in", serde.String, serde.String)
}

// fresh is a new processor each time, with the test's hoarder in it.
type fresh struct{ *hoarder }

// uses are the methods of a Context, and the writes of a store, that must be called
// inside a call of the processor.
var uses = map[string]func(k *hoarder){
	"Forward":   func(k *hoarder) { k.ctx.Forward(record{Key: "stray"}) },
	"ForwardTo": func(k *hoarder) { k.ctx.ForwardTo("out-sink", record{Key: "stray"}) },
	"Every": func(k *hoarder) {
		k.ctx.Every(time.Second, processor.WallClock, func(timeless, time.Time) error { return nil }).Cancel()
	},
	"EveryFrom":   func(k *hoarder) { k.ctx.EveryFrom(start, time.Second, processor.WallClock, nil) },
	"Store":       func(k *hoarder) { _, _ = k.ctx.Store("seen") },
	"Metadata":    func(k *hoarder) { k.ctx.Metadata() },
	"StreamTime":  func(k *hoarder) { k.ctx.StreamTime() },
	"Now":         func(k *hoarder) { k.ctx.Now() },
	"Commit":      func(k *hoarder) { k.ctx.Commit() },
	"Position":    func(k *hoarder) { k.ctx.Position("n") },
	"SetPosition": func(k *hoarder) { k.ctx.SetPosition("n", 1) },
	"SetHeld":     func(k *hoarder) { k.ctx.SetHeld(1) },
	"OnCommitted": func(k *hoarder) { k.ctx.OnCommitted(func() {}) },
	"Drop":        func(k *hoarder) { k.ctx.Drop("") },
	"Put":         func(k *hoarder) { _ = k.store.Put("stray", "") },
	"Delete":      func(k *hoarder) { _, _, _ = k.store.Delete("stray") },
}

// elsewhere calls use on another goroutine, and waits for it.
func elsewhere(use func(k *hoarder)) func(k *hoarder) {
	return func(k *hoarder) {
		done := make(chan struct{})
		go func() { defer close(done); use(k) }()
		<-done
	}
}

// wantMisuse checks the error of a use, and that nothing of the transaction became
// visible.
func wantMisuse(t *testing.T, d *topologytest.Driver, err error) {
	t.Helper()
	if !errors.Is(err, processor.ErrOutsideCall) || !strings.Contains(err.Error(), "task 0_0: node p: ") {
		t.Errorf("error %v", err)
	}
	if got := d.Topics(); len(got) != 1 || got[0] != "in" {
		t.Errorf("topics %v have records", got)
	}
}

func TestContextOutsideOfItsCall(t *testing.T) {
	t.Parallel()
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &hoarder{}
			d, in := keeping(t, k)
			in.Send("k", "v", start)
			wantMisuse(t, d, d.Try(func() { use(k) }))
			d.Restart()
			in.Send("k", "v", start)
			wantMisuse(t, d, d.Try(func() { elsewhere(use)(k) }))
		})
	}
}

func TestContextInOtherGoroutine(t *testing.T) {
	t.Parallel()
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, in := keeping(t, &hoarder{during: elsewhere(use)})
			wantMisuse(t, d, d.Try(func() { in.Send("go", "", start) }))
		})
	}
}

// everywhere uses a Context on another goroutine in one of its calls. It has a store of
// each kind.
type everywhere struct {
	in       string // the call
	use      func(ctx timeless, p *everywhere)
	keys     state.KeyValueStore[string, string]
	windows  windowstore.Store[string, string]
	sessions sessionstore.Store[string, string]
}

var (
	strayWindows  = windowstore.New("stray-windows", serde.String, serde.String, time.Second, time.Minute)
	straySessions = sessionstore.New("stray-sessions", serde.String, serde.String, time.Minute)
)

func (p *everywhere) call(name string, ctx timeless) {
	if name != p.in {
		return
	}
	done := make(chan struct{})
	go func() { defer close(done); p.use(ctx, p) }()
	<-done
}

func (p *everywhere) Init(ctx timeless) error {
	p.keys, p.windows, p.sessions = state.Open(ctx, forgetfulStore), windowstore.Open(ctx, strayWindows), sessionstore.Open(ctx, straySessions)
	for name, kind := range map[string]processor.TimeKind{"wall clock": processor.WallClock, "stream time": processor.StreamTime} {
		ctx.Every(time.Second, kind, func(ctx timeless, _ time.Time) error { p.call(name, ctx); return nil })
	}
	p.call("Init", ctx)
	return nil
}

func (p *everywhere) Process(ctx timeless, _ record) error { p.call("Process", ctx); return nil }
func (p *everywhere) Flush(ctx timeless) error             { p.call("Flush", ctx); return nil }

// TestContextInOtherGoroutineOfAnyCall: a use on another goroutine is found in each call
// of a processor, also if it is a write to a store.
func TestContextInOtherGoroutineOfAnyCall(t *testing.T) {
	t.Parallel()
	strays := map[string]func(ctx timeless, p *everywhere){
		"Forward":     func(ctx timeless, _ *everywhere) { ctx.Forward(record{Key: "stray"}) },
		"SetPosition": func(ctx timeless, _ *everywhere) { ctx.SetPosition("n", 1) },
		"keys":        func(_ timeless, p *everywhere) { _ = p.keys.Put("stray", "") },
		"windows":     func(_ timeless, p *everywhere) { _ = p.windows.Put("stray", "", 1000) },
		"no window":   func(_ timeless, p *everywhere) { _ = p.windows.Delete("stray", 1000) },
		"sessions":    func(_ timeless, p *everywhere) { _ = p.sessions.Put("stray", "", 1000, 2000) },
	}
	for _, in := range []string{"Init", "Process", "Flush", "wall clock", "stream time"} {
		for what, use := range strays {
			t.Run(in+", "+what, func(t *testing.T) {
				t.Parallel()
				b := topology.New()
				newP := func() *everywhere { return &everywhere{in: in, use: use} }
				topology.Process(topology.Source(b, "in", serde.String, serde.String), "p", newP, serde.String, serde.String, forgetfulStore, strayWindows, straySessions).To("out")
				d, err := topologytest.TryNew(t, build(t, b))
				if err == nil {
					input := topologytest.Input(d, "in", serde.String, serde.String)
					err = d.Try(func() {
						input.Send("k", "v", start)
						input.Send("k", "v", start.Add(time.Minute))
						d.Advance(time.Minute)
					})
				}
				if !errors.Is(err, processor.ErrOutsideCall) || !strings.Contains(err.Error(), "node p: ") {
					t.Errorf("error %v", err)
				}
			})
		}
	}
}

// TestContextAfterItsTask: a use of a Context after its task has crashed is found too.
func TestContextAfterItsTask(t *testing.T) {
	t.Parallel()
	k := &hoarder{}
	d, in := keeping(t, k)
	in.Send("k", "v", start)
	old := k.ctx
	d.CrashAll()
	wantMisuse(t, d, d.Try(func() { old.Forward(record{Key: "stray"}) }))
}

// TestContextInCallbacks: OnCommitted and Close are not calls of the processor.
func TestContextInCallbacks(t *testing.T) {
	t.Parallel()
	stray := func(k *hoarder) { k.ctx.Forward(record{Key: "stray"}) }
	d, in := keeping(t, &hoarder{during: func(k *hoarder) { k.ctx.OnCommitted(func() { stray(k) }) }})
	wantMisuse(t, d, d.Try(func() { in.Send("go", "", start) }))

	d, in = keeping(t, &hoarder{atClose: func(k *hoarder) { k.schedule.Cancel() }})
	in.Send("k", "v", start)
	if err := d.Try(func() { d.CrashAll() }); err != nil {
		t.Errorf("Cancel in Close: %v", err)
	}
	d, in = keeping(t, &hoarder{atClose: stray})
	in.Send("k", "v", start)
	wantMisuse(t, d, d.Try(func() { d.CrashAll() }))
}

// TestContextAnywhere: some methods may be called by any goroutine, at any time.
func TestContextAnywhere(t *testing.T) {
	t.Parallel()
	k := &hoarder{}
	k.during = elsewhere(func(k *hoarder) {
		if k.ctx.Context().Err() != nil || k.ctx.Task().String() != "0_0" {
			t.Error("Context or Task is wrong")
		}
		k.ctx.Logger().Info("from another goroutine")
	})
	d, in := keeping(t, k)
	if err := d.Try(func() { in.Send("go", "", start); k.during(k) }); err != nil {
		t.Error(err)
	}
}
