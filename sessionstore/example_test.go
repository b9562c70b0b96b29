package sessionstore_test

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/sessionstore"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// visits are the visits of users, for a day.
var visits = sessionstore.New("visits", serde.String, serde.Int64, 24*time.Hour)

// visit joins the records of a user that are at most half an hour apart to a visit, and
// forwards the number of its records. A visit has ten records at most.
type visit struct {
	visits sessionstore.Store[string, int64]
}

func (p *visit) Init(ctx processor.Context[string, int64]) error {
	p.visits = sessionstore.Open(ctx, visits)
	return nil
}

func (p *visit) Process(ctx processor.Context[string, int64], r processor.Record[string, string]) error {
	start, end, n := r.Timestamp, r.Timestamp, int64(1)
	for e, err := range p.visits.Find(r.Key, start.Add(-30*time.Minute), end.Add(30*time.Minute)) {
		if err != nil {
			return err
		}
		if e.Value == 10 {
			continue
		}
		start, end, n = min(start, e.Start), max(end, e.End), n+e.Value
		if err := p.visits.Delete(r.Key, e.Start, e.End); err != nil {
			return err
		}
	}
	ctx.Forward(processor.WithValue(r, n))
	return p.visits.Put(r.Key, n, start, end)
}

func Example() {
	b := topology.New()
	clicks := topology.Source(b, "clicks", serde.String, serde.String)
	topology.Process(clicks, "visit", func() *visit { return &visit{} }, serde.String, serde.Int64, visits).To("lengths")
	topo, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	d := topologytest.New(topologytest.ForExample(), topo)
	in := topologytest.Input(d, "clicks", serde.String, serde.String)
	for _, minute := range []int64{0, 20, 100, 45} {
		in.Send("ann", "/home", time.UnixMilli(minute*60_000))
	}
	for _, r := range topologytest.Output(d, "lengths", serde.String, serde.Int64).Records() {
		fmt.Println(r.Timestamp.Time().Format("15:04"), r.Value)
	}
	// Output:
	// 00:00 1
	// 00:20 2
	// 01:40 1
	// 00:45 3
}
