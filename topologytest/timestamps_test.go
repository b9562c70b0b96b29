package topologytest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

type timeless = processor.Context[string, string]

// forgetful forwards records without a timestamp, and writes to its store, in each of its
// calls except those in quiet.
type forgetful struct {
	seen  state.KeyValueStore[string, string]
	quiet []string
}

func (p *forgetful) Init(ctx timeless) error {
	p.seen = state.Open(ctx, forgetfulStore)
	ctx.Every(time.Hour, processor.StreamTime, func(ctx timeless, _ time.Time) error { return p.say(ctx, "stream time") })
	ctx.Every(time.Hour, processor.WallClock, func(ctx timeless, _ time.Time) error { return p.say(ctx, "wall clock") })
	return p.say(ctx, "Init")
}

func (p *forgetful) Process(ctx timeless, _ record) error { return p.say(ctx, "Process") }
func (p *forgetful) Flush(ctx timeless) error             { return p.say(ctx, "Flush") }

func (p *forgetful) say(ctx timeless, where string) error {
	if slices.Contains(p.quiet, where) {
		return nil
	}
	ctx.Forward(record{Key: where, Value: "Forward"})
	ctx.ForwardTo("out", record{Key: where, Value: "ForwardTo"})
	return p.seen.Put(where, "")
}

var forgetfulStore = state.KeyValue("seen", serde.String, serde.String)

// timesOf returns the timestamps of a topic's records by key, each once.
func timesOf(d *topologytest.Driver, topic string) map[string][]processor.Timestamp {
	times := map[string][]processor.Timestamp{}
	for _, r := range d.Topic(topic) {
		if key := string(r.Key); !slices.Contains(times[key], r.Timestamp) {
			times[key] = append(times[key], r.Timestamp)
		}
	}
	return times
}

// TestForgottenTimestamp: a record that a processor forwards with the zero Timestamp, and
// a row that it writes, have the time of the call.
func TestForgottenTimestamp(t *testing.T) {
	t.Parallel()
	b := topology.New()
	s := topology.Process(topology.Source(b, "in", serde.String, serde.String), "p",
		func() *forgetful { return &forgetful{} }, serde.String, serde.String, forgetfulStore)
	s.To("out", topology.Named("out"))
	d := topologytest.New(t, build(t, b), topologytest.Start(start), topologytest.CommitInterval(2*time.Hour))
	at := start.Add(-time.Minute)
	d.Commit()
	d.Advance(time.Hour)
	d.Commit() // a flush before the first record
	topologytest.Input(d, "in", serde.String, serde.String).Send("k", "v", at)
	d.Commit()

	stamp := processor.TimestampOf
	later := start.Add(time.Hour)
	for where, want := range map[string][]processor.Timestamp{
		"Init":        {stamp(start)},
		"wall clock":  {stamp(later)},
		"Process":     {stamp(at)},
		"stream time": {stamp(at)},
		"Flush":       {stamp(start), stamp(later), stamp(at)},
	} {
		if got := timesOf(d, "out")[where]; !slices.Equal(got, want) {
			t.Errorf("%s: forwarded at %v, want %v", where, got, want)
		}
		if got := timesOf(d, "test-seen-changelog")[where]; !slices.Equal(got, want) {
			t.Errorf("%s: written at %v, want %v", where, got, want)
		}
	}
}

// TestForgottenTimestampOfOperators: a function returns a record with the zero Timestamp.
// The record gets the timestamp of the record that the function was given.
func TestForgottenTimestampOfOperators(t *testing.T) {
	t.Parallel()
	bare := func(r record) record { return record{Key: r.Key, Value: r.Value} }
	operators := map[string]func(s topology.Stream[string, string]) topology.Stream[string, string]{
		"Map": func(s topology.Stream[string, string]) topology.Stream[string, string] {
			return topology.Map(s, bare, serde.String, serde.String)
		},
		"TryMap": func(s topology.Stream[string, string]) topology.Stream[string, string] {
			return topology.TryMap(s, func(r record) (record, error) { return bare(r), nil }, serde.String, serde.String)
		},
		"FlatMap": func(s topology.Stream[string, string]) topology.Stream[string, string] {
			return topology.FlatMap(s, func(r record) []record { return []record{bare(r), bare(r)} }, serde.String, serde.String)
		},
		"TryFlatMap": func(s topology.Stream[string, string]) topology.Stream[string, string] {
			return topology.TryFlatMap(s, func(r record) ([]record, error) { return []record{bare(r), bare(r)}, nil }, serde.String, serde.String)
		},
		"Process": func(s topology.Stream[string, string]) topology.Stream[string, string] {
			// The processor gets a record with another timestamp than the input's.
			earlier := topology.Map(s, func(r record) record { r.Timestamp = r.Timestamp.Add(-time.Second); return r }, serde.String, serde.String)
			return topology.Process(earlier, "p", func() *bareProcessor { return &bareProcessor{} }, serde.String, serde.String)
		},
	}
	for name, operator := range operators {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := topology.New()
			operator(topology.Source(b, "in", serde.String, serde.String)).To("out")
			d := topologytest.New(t, build(t, b))
			topologytest.Input(d, "in", serde.String, serde.String).Send("k", "v", start)
			want := processor.TimestampOf(start)
			if name == "Process" {
				want = want.Add(-time.Second)
			}
			if got := timesOf(d, "out")["k"]; !slices.Equal(got, []processor.Timestamp{want}) {
				t.Errorf("timestamps %v, want %v", got, want)
			}
		})
	}
}

type bareProcessor struct{}

func (*bareProcessor) Init(timeless) error { return nil }
func (*bareProcessor) Process(ctx timeless, r record) error {
	ctx.Forward(record{Key: r.Key, Value: r.Value})
	return nil
}

// TestPartitionTimeAfterACrash: the largest timestamp of a partition comes back.
func TestPartitionTimeAfterACrash(t *testing.T) {
	t.Parallel()
	b := topology.New()
	topology.Source(b, "in", serde.String, serde.String, topology.PartitionTimeForInvalid()).To("out")
	d := topologytest.New(t, build(t, b))
	d.Send("in", 0, nil, []byte("valid"), 100)
	d.CrashAll(topologytest.LoseDisk)
	d.Send("in", 0, nil, []byte("invalid"), -1)
	if out := d.Topic("out"); len(out) != 2 || out[1].Timestamp != 100 {
		t.Errorf("out has %v, want a second record at 100", out)
	}
}
