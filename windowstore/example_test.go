package windowstore_test

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
	"github.com/millrace-streams/millrace/windowstore"
)

// seen counts the records of each minute, and keeps the counts for ten minutes.
var seen = windowstore.New("seen", serde.String, serde.Int64, time.Minute, 10*time.Minute)

// trend forwards, with each record, how often its key has occurred in its minute and the
// two before.
type trend struct {
	seen windowstore.Store[string, int64]
}

func (p *trend) Init(ctx processor.Context[string, int64]) error {
	p.seen = windowstore.Open(ctx, seen)
	return nil
}

func (p *trend) Process(ctx processor.Context[string, int64], r processor.Record[string, string]) error {
	minute := processor.TimestampOf(r.Timestamp.Time().Truncate(time.Minute))
	n, _, err := p.seen.Get(r.Key, minute)
	if err != nil {
		return err
	}
	if err := p.seen.Put(r.Key, n+1, minute); err != nil {
		return err
	}
	sum := int64(0)
	for e, err := range p.seen.Fetch(r.Key, minute.Add(-2*time.Minute), minute) {
		if err != nil {
			return err
		}
		sum += e.Value
	}
	ctx.Forward(processor.WithValue(r, sum))
	return nil
}

func Example() {
	b := topology.New()
	words := topology.Source(b, "words", serde.String, serde.String)
	topology.Process(words, "trend", func() *trend { return &trend{} }, serde.String, serde.Int64, seen).To("trends")
	topo, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	d := topologytest.New(topologytest.ForExample(), topo)
	in := topologytest.Input(d, "words", serde.String, serde.String)
	for _, minute := range []int64{0, 0, 1, 2, 3, 30} {
		in.Send("kafka", "", time.UnixMilli(minute*60_000))
	}
	for _, r := range topologytest.Output(d, "trends", serde.String, serde.Int64).Records() {
		fmt.Println(r.Timestamp.Time().Format("15:04"), r.Value)
	}
	// Output:
	// 00:00 1
	// 00:00 2
	// 00:01 3
	// 00:02 4
	// 00:03 3
	// 00:30 1
}
