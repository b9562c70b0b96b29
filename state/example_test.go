package state_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

var best = state.KeyValue("best", serde.String, serde.Int64)

// highScores forwards a player's score if it is the best so far.
type highScores struct {
	best state.KeyValueStore[string, int64]
}

func (p *highScores) Init(ctx processor.Context[string, int64]) error {
	p.best = state.Open(ctx, best)
	return nil
}

func (p *highScores) Process(ctx processor.Context[string, int64], r processor.Record[string, int64]) error {
	old, ok, err := p.best.Get(r.Key)
	if err != nil || ok && old >= r.Value {
		return err
	}
	if err := p.best.Put(r.Key, r.Value); err != nil {
		return err
	}
	ctx.Forward(r)
	return nil
}

// A processor keeps its state in a store, which survives crashes.
func Example() {
	b := topology.New()
	scores := topology.Source(b, "scores", serde.String, serde.Int64)
	topology.Process(scores, "high-scores", func() *highScores { return &highScores{} }, serde.String, serde.Int64, best).To("records")
	topo, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	d := topologytest.New(topologytest.ForExample(), topo)
	in := topologytest.Input(d, "scores", serde.String, serde.Int64)
	in.Send("ann", 10, time.UnixMilli(1))
	in.Send("bob", 7, time.UnixMilli(2))
	in.Send("ann", 9, time.UnixMilli(3))
	d.Crash("high-scores", 0, topologytest.LoseDisk)
	in.Send("ann", 8, time.UnixMilli(4))
	in.Send("bob", 8, time.UnixMilli(5))

	for _, r := range topologytest.Output(d, "records", serde.String, serde.Int64).Records() {
		fmt.Println(r.Key, r.Value)
	}
	fmt.Println("in the store:")
	for e, err := range topologytest.Store[state.KeyValueStore[string, int64]](d, "best", 0).All() {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Key, e.Value, e.Timestamp)
	}
	// Output:
	// ann 10
	// bob 7
	// bob 8
	// in the store:
	// ann 10 1970-01-01T00:00:00.001Z
	// bob 8 1970-01-01T00:00:00.005Z
}

// limits is a handle of the table of limits, which all tasks share.
var limits topology.Global[string, int64]

// limiter forwards the values that are within the limit of their key.
type limiter struct {
	limits state.Reader[string, int64]
}

func (p *limiter) Init(ctx processor.Context[string, int64]) error {
	p.limits = state.OpenGlobal(ctx, limits)
	return nil
}

func (p *limiter) Process(ctx processor.Context[string, int64], r processor.Record[string, int64]) error {
	limit, ok, err := p.limits.Get(r.Key)
	if err == nil && ok && r.Value <= limit {
		ctx.Forward(r)
	}
	return err
}

// A processor reads a global table.
func ExampleOpenGlobal() {
	b := topology.New()
	limits = topology.GlobalTable(b, "limits", serde.String, serde.Int64)
	in := topology.Source(b, "in", serde.String, serde.Int64)
	topology.Process(in, "limiter", func() *limiter { return &limiter{} }, serde.String, serde.Int64, limits).To("out")
	topo, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	d := topologytest.New(topologytest.ForExample(), topo)
	topologytest.Input(d, "limits", serde.String, serde.Int64).Send("ann", 10, time.UnixMilli(1))
	input := topologytest.Input(d, "in", serde.String, serde.Int64)
	input.Send("ann", 9, time.UnixMilli(2))
	input.Send("ann", 11, time.UnixMilli(3))
	for _, r := range topologytest.Output(d, "out", serde.String, serde.Int64).Records() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// ann 9
}

// users is a handle of the table of users.
var users topology.Table[string, string]

// greeter greets the users that it knows by their names.
type greeter struct {
	users state.Reader[string, string]
}

func (p *greeter) Init(ctx processor.Context[string, string]) error {
	p.users = state.OpenTable(ctx, users)
	return nil
}

func (p *greeter) Process(ctx processor.Context[string, string], r processor.Record[string, string]) error {
	name, ok, err := p.users.Get(r.Key)
	if err == nil && ok {
		r.Value = "hello " + name
		ctx.Forward(r)
	}
	return err
}

// A processor reads a table. The rows are those of a topic, and only the table writes
// them: Kafka Streams calls this a read-only state store.
func ExampleOpenTable() {
	b := topology.New()
	users = topology.SourceTable(b, "users", serde.String, serde.String)
	logins := topology.Source(b, "logins", serde.String, serde.String)
	topology.Process(logins, "greeter", func() *greeter { return &greeter{} }, serde.String, serde.String, users).To("greetings")
	topo, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	d := topologytest.New(topologytest.ForExample(), topo)
	topologytest.Input(d, "users", serde.String, serde.String).Send("u1", "Ann", time.UnixMilli(1))
	d.Crash("greeter", 0, topologytest.LoseDisk)
	in := topologytest.Input(d, "logins", serde.String, serde.String)
	in.Send("u1", "", time.UnixMilli(2))
	in.Send("u2", "", time.UnixMilli(3))
	topologytest.Input(d, "users", serde.String, serde.String).Send("u1", "Anna", time.UnixMilli(4))
	in.Send("u1", "", time.UnixMilli(5))
	for _, r := range topologytest.Output(d, "greetings", serde.String, serde.String).Records() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// u1 hello Ann
	// u1 hello Anna
}

// drain empties a store in a loop over it.
func drain(s state.KeyValueStore[string, int64]) (n int64, err error) {
	for e, err := range s.All() {
		if err != nil {
			return n, err
		}
		n += e.Value
		if _, _, err := s.Delete(e.Key); err != nil {
			return n, err
		}
	}
	return n, nil
}

var pending = state.KeyValue("pending", serde.String, serde.Int64, state.InMemory())

// sums forwards, once per minute, the sum of the values since the last time.
type sums struct {
	pending state.KeyValueStore[string, int64]
}

func (p *sums) Init(ctx processor.Context[string, int64]) error {
	p.pending = state.Open(ctx, pending)
	ctx.Every(time.Minute, processor.WallClock, p.emit)
	return nil
}

func (p *sums) Process(_ processor.Context[string, int64], r processor.Record[string, int64]) error {
	old, _, err := p.pending.Get(r.Key)
	return errors.Join(err, p.pending.Put(r.Key, old+r.Value))
}

func (p *sums) emit(ctx processor.Context[string, int64], now time.Time) error {
	n, err := drain(p.pending)
	ctx.Forward(processor.NewRecord("sum", n, processor.TimestampOf(now)))
	return err
}

// The loop over a range read may change the store.
func ExampleKeyValueStore() {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.Int64)
	topology.Process(in, "sums", func() *sums { return &sums{} }, serde.String, serde.Int64, pending).To("out")
	topo, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	d := topologytest.New(topologytest.ForExample(), topo)
	input := topologytest.Input(d, "in", serde.String, serde.Int64)
	input.Send("a", 1, time.UnixMilli(0))
	input.Send("b", 2, time.UnixMilli(0))
	input.Send("a", 3, time.UnixMilli(0))
	d.Advance(time.Minute)
	d.Advance(time.Minute)
	for _, r := range topologytest.Output(d, "out", serde.String, serde.Int64).Records() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// sum 6
	// sum 0
}

// A cache of what another system knows: at most two rows, of which the least recently
// used one gives way to a new one.
func ExampleMostRows() {
	cache := state.KeyValue("cache", serde.String, serde.String, state.MostRows(2))
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	topology.Process(in, "look", func() *lookups { return &lookups{spec: cache} }, serde.String, serde.String, cache).To("out")
	topo, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	d := topologytest.New(topologytest.ForExample(), topo)
	input := topologytest.Input(d, "in", serde.String, serde.String)
	for _, key := range []string{"a", "b", "a", "c", "a", "b"} {
		input.Send(key, "", time.UnixMilli(0))
	}
	for _, r := range topologytest.Output(d, "out", serde.String, serde.String).Records() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// a asked
	// b asked
	// a known
	// c asked
	// a known
	// b asked
}

// lookups asks another system only for what the cache does not know.
type lookups struct {
	spec  state.Spec[string, string]
	cache state.KeyValueStore[string, string]
}

func (p *lookups) Init(ctx processor.Context[string, string]) error {
	p.cache = state.Open(ctx, p.spec)
	return nil
}

func (p *lookups) Process(ctx processor.Context[string, string], r processor.Record[string, string]) error {
	_, known, err := p.cache.Get(r.Key)
	if err != nil {
		return err
	}
	answer := "known"
	if !known {
		answer = "asked"
		if err := p.cache.Put(r.Key, "what it said"); err != nil {
			return err
		}
	}
	ctx.Forward(processor.NewRecord(r.Key, answer, r.Timestamp))
	return nil
}
