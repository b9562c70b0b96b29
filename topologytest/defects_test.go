package topologytest_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// The rows of a window do not depend on the grace and retention of an earlier version of
// the program.
func TestRestartWithAnotherGrace(t *testing.T) {
	t.Parallel()
	topo := func(grace time.Duration) *topology.Topology {
		b := topology.New()
		a := topology.Source(b, "a", serde.String, serde.String)
		topology.GroupByKey(a, "by-key").Window(topology.Tumbling(time.Minute).Grace(grace)).Count("counts").Stream().To("out")
		return build(t, b)
	}
	d := topologytest.New(t, topo(0))
	in := topologytest.Input(d, "a", serde.String, serde.String)
	out := topologytest.Output(d, "out", serde.TimeWindowed(serde.String, time.Minute), serde.Int64)
	in.Send("k", "1", start)
	d.RestartWith(topo(time.Hour))
	in.Send("k", "2", start.Add(time.Second))
	var got []string
	for _, r := range out.Records() {
		got = append(got, fmt.Sprint(r.Value))
	}
	want(t, got, "1", "2")
}

func TestRestartRefusesToMisreadStoresOfProcessors(t *testing.T) {
	t.Parallel()
	d := topologytest.New(t, withStore(t, state.KeyValue("kept", serde.String, serde.Int64)))
	if err := d.Try(func() { d.RestartWith(withStore(t, state.KeyValue("kept", serde.String, serde.String))) }); err == nil || !strings.Contains(err.Error(), "kept") {
		t.Errorf("got %v, want that the rows of kept would be misread", err)
	}
}

func withStore(t *testing.T, spec processor.StoreSpec) *topology.Topology {
	b := topology.New()
	topology.Process(topology.Source(b, "a", serde.String, serde.String), "p", func() *flaky { return &flaky{} }, serde.String, serde.String, spec).To("out")
	return build(t, b)
}

// flaky fails once before it forwards, once after, and then never again.
type flaky struct{ calls int }

func (p *flaky) Init(processor.Context[string, string]) error { return nil }

func (p *flaky) Process(ctx processor.Context[string, string], r processor.Record[string, string]) error {
	p.calls++
	if p.calls == 1 {
		return errors.New("before")
	}
	ctx.Forward(r)
	if p.calls == 2 {
		return errors.New("after")
	}
	return nil
}

func TestRetryDoublesNothing(t *testing.T) {
	t.Parallel()
	b := topology.New()
	calls := 0
	topology.Process(topology.Source(b, "a", serde.String, serde.String), "p", func() *shared { return &shared{calls: &calls} }, serde.String, serde.String).To("out")
	d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Retry}))
	topologytest.Input(d, "a", serde.String, serde.String).Send("k", "1", start)
	want(t, lines(topologytest.Output(d, "out", serde.String, serde.String).Records()), "k=1")
}

// shared shares one flaky between the instances of a task.
type shared struct {
	flaky
	calls *int
}

func (p *shared) Process(ctx processor.Context[string, string], r processor.Record[string, string]) error {
	p.flaky.calls = *p.calls
	*p.calls++
	return p.flaky.Process(ctx, r)
}

func TestTheEndOfTime(t *testing.T) {
	t.Parallel()
	b := topology.New()
	a := topology.Source(b, "a", serde.String, serde.String)
	topology.GroupByKey(a, "by-key").Window(topology.Hopping(time.Minute, 7*time.Second)).Count("counts").Stream().To("counted")
	topology.Process(a, "ticks", func() *endless { return &endless{} }, serde.String, serde.String).To("out")
	d := topologytest.New(t, build(t, b))
	d.Send("a", 0, []byte("k"), []byte("v"), math.MaxInt64)
	d.Send("a", 0, []byte("k"), []byte("v"), math.MaxInt64)
	want(t, lines(topologytest.Output(d, "out", serde.String, serde.String).Records()), "tick=")
}

type endless struct{}

func (p *endless) Init(ctx processor.Context[string, string]) error {
	ctx.Every(time.Second, processor.StreamTime, func(ctx processor.Context[string, string], now time.Time) error {
		ctx.Forward(processor.NewRecord("tick", "", processor.TimestampOf(now)))
		return nil
	})
	return nil
}

func (p *endless) Process(processor.Context[string, string], processor.Record[string, string]) error {
	return nil
}

// A negative timestamp is an error of the function that made it. The record does not get
// lost later.
func TestNegativeTimestampsOfMap(t *testing.T) {
	t.Parallel()
	type record = processor.Record[string, string]
	early := func(r record) record { r.Timestamp = -5; return r }
	for name, change := range map[string]func(topology.Stream[string, string]) topology.Stream[string, string]{
		"map": func(s topology.Stream[string, string]) topology.Stream[string, string] {
			return topology.Map(s, early, serde.String, serde.String, topology.Named("early"))
		},
		"flatMap": func(s topology.Stream[string, string]) topology.Stream[string, string] {
			return topology.FlatMap(s, func(r record) []record { return []record{r, early(r)} }, serde.String, serde.String, topology.Named("early"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := topology.New()
			change(topology.Source(b, "a", serde.String, serde.String)).ForEach(func(record) error { return nil })
			d := topologytest.New(t, build(t, b))
			err := d.Try(func() { topologytest.Input(d, "a", serde.String, serde.String).Send("k", "1", start) })
			var failed *processor.Error
			if !errors.As(err, &failed) || failed.Node != "early" {
				t.Errorf("got %v, want an error of the node early", err)
			}
		})
	}
}

// unreadable is a serde that cannot decode what it encodes.
type unreadable struct{ serde.Serde[string] }

func (unreadable) Decode([]byte) (string, error) { return "", errors.New("unreadable") }

// A store that cannot be read ends the application under every policy, even if its
// operator is reached by a flush.
func TestUnreadableStoreIsNotSkipped(t *testing.T) {
	t.Parallel()
	b := topology.New()
	a := topology.Source(b, "a", serde.String, serde.String)
	counts := topology.GroupByKey(a, "by-key").Count("counts")
	topology.Aggregate(topology.GroupByKey(counts.Stream(), "again"), "texts", func() string { return "" },
		func(_ string, r processor.Record[string, int64]) string { return fmt.Sprint(r.Value) }, serde.Serde[string](unreadable{serde.String}))
	d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Skip}))
	in := topologytest.Input(d, "a", serde.String, serde.String)
	in.Send("k", "1", start)
	d.Restart()
	if err := d.Try(func() { in.Send("k", "2", start) }); err == nil || !strings.Contains(err.Error(), "unreadable") {
		t.Errorf("got %v, want the error of the store", err)
	}
}
