package topologytest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// beating forwards its last record again every second, with a timestamp a second later.
type beating struct {
	last processor.FixedKeyRecord[string, string]
}

func (p *beating) Init(ctx processor.FixedKeyContext[string, string]) error {
	ctx.Every(time.Second, processor.WallClock, p.beat)
	return nil
}

func (p *beating) beat(ctx processor.FixedKeyContext[string, string], _ time.Time) error {
	if at := p.last.Timestamp(); at > 0 && at < 110_000 {
		p.last = p.last.WithTimestamp(at + 1000)
		ctx.Forward(p.last)
	}
	return nil
}

func (p *beating) Process(_ processor.FixedKeyContext[string, string], r processor.FixedKeyRecord[string, string]) error {
	p.last = r
	return nil
}

// TestPunctuatorsEndIdleTime: a punctuator in front of the aggregation forwards records
// while the input is idle. Stream time does not run ahead of them.
func TestPunctuatorsEndIdleTime(t *testing.T) {
	t.Parallel()
	b := topology.New()
	beats := topology.ProcessValues(topology.Source(b, "in", serde.String, serde.String), "beat", func() *beating { return &beating{} }, serde.String)
	counts := topology.GroupByKey(beats, "by-key").Window(minutes).Count("counts", topology.IdleAfter(30*time.Second)).Final()
	sendCounts(counts.Stream())
	d := topologytest.New(t, built(t, b))
	topologytest.Input(d, "in", serde.String, serde.String).Send("a", "a", time.Unix(10, 0))
	d.Advance(60 * time.Second)
	expectOut(t, d, "after 60 s", "a 0: 49 @59")
	d.Advance(40 * time.Second) // the last one has the timestamp 110 s
	d.Advance(29 * time.Second)
	expectOut(t, d, "29 s after the last record", "a 0: 49 @59")
	d.Advance(2 * time.Second)
	expectOut(t, d, "31 s after the last record", "a 0: 49 @59", "a 60: 51 @110")
	if n := d.Dropped(); n != 0 {
		t.Errorf("dropped %d records: %v", n, d.DropReasons())
	}
}

// TestIdleTimeWaitsForTheCommit: a table in front of the aggregation forwards its updates
// at the commit. They are not late.
func TestIdleTimeWaitsForTheCommit(t *testing.T) {
	t.Parallel()
	b := topology.New()
	latest := topology.SourceTable(b, "in", serde.String, serde.String)
	counts := topology.GroupByKey(latest.Stream(), "by-key").Window(minutes).Count("counts", topology.IdleAfter(10*time.Second)).Final()
	sendCounts(counts.Stream())
	d := topologytest.New(t, built(t, b), topologytest.CommitInterval(30*time.Second))
	in := topologytest.Input(d, "in", serde.String, serde.String)
	in.Send("a", "a", time.Unix(55, 0))
	d.Commit()
	in.Send("b", "b", time.Unix(58, 0))
	d.Advance(time.Minute)
	if n := d.Dropped(); n != 0 {
		t.Errorf("dropped %d records: %v", n, d.DropReasons())
	}
	expectOut(t, d, "at the end", "a 0: 1 @55", "b 0: 1 @58")
}

// sendCounts sends the rows of windows to the topic out.
func sendCounts(counts topology.Stream[serde.Windowed[string], int64]) {
	topology.Map(counts, func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
		return processor.NewRecord(r.Key.Key, fmt.Sprintf("%d: %d", r.Key.Window.Start/1000, r.Value), r.Timestamp)
	}, serde.String, serde.String).To("out")
}

func built(t *testing.T, b *topology.Builder) *topology.Topology {
	t.Helper()
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}
