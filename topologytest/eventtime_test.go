package topologytest_test

import (
	"fmt"
	"testing"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

var last = state.KeyValue("last", serde.String, serde.String)

// keeper keeps the last value of each key, and forwards the stream time.
type keeper struct{}

func (keeper) Init(processor.Context[string, int64]) error { return nil }

func (keeper) Process(ctx processor.Context[string, int64], r processor.Record[string, string]) error {
	ctx.Forward(processor.NewRecord(r.Key, int64(ctx.StreamTime()), r.Timestamp))
	return state.Open(ctx, last).Put(r.Key, r.Value)
}

func newKeeper() keeper { return keeper{} }

// Operators before a processor change timestamps. The processor's rows get the changed
// timestamps.
func TestRowsHaveTheTimestampOfTheRecord(t *testing.T) {
	t.Parallel()
	b := topology.New()
	later := topology.Map(topology.Source(b, "in", serde.String, serde.String), func(r processor.Record[string, string]) processor.Record[string, string] {
		r.Timestamp += 5
		return r
	}, serde.String, serde.String)
	topology.Process(later, "keep", newKeeper, serde.String, serde.Int64, last)
	d := topologytest.New(t, build(t, b))
	topologytest.Input(d, "in", serde.String, serde.String).SendRecord(processor.NewRecord("k", "v", 10))
	d.Commit()
	_, at, _, err := topologytest.Store[state.KeyValueStore[string, string]](d, "last", 0).GetTimestamped("k")
	if err != nil || at != 15 {
		t.Errorf("the row has timestamp %d, want 15 (%v)", at, err)
	}
}

// A record that cannot be decoded does not advance any time: no window closes, and no
// punctuator runs.
func TestUndecodableRecordsMoveNoTime(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.Int64)
	text := topology.MapValues(in, func(n int64) string { return fmt.Sprint(n) }, serde.String)
	topology.Process(text, "keep", newKeeper, serde.String, serde.Int64, last).To("out")
	d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(processor.ErrorPolicy{Decode: processor.Skip}))
	number := make([]byte, 8)
	d.Send("in", 0, []byte("k"), number, 10)
	d.Send("in", 0, []byte("k"), number[:3], 1000)
	d.Send("in", 0, []byte("k"), number, 20)
	want(t, lines(topologytest.Output(d, "out", serde.String, serde.Int64).Records()), "k=10", "k=20")
	if d.Dropped() != 1 {
		t.Errorf("%d records dropped", d.Dropped())
	}
}
