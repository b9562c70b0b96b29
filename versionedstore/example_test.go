package versionedstore_test

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
	"github.com/millrace-streams/millrace/versionedstore"
)

var rates = versionedstore.New("rates", serde.String, serde.Int64, time.Hour)

// rateKeeper keeps the rates of currencies.
type rateKeeper struct {
	rates versionedstore.Store[string, int64]
}

func (p *rateKeeper) Init(ctx processor.Context[string, string]) error {
	p.rates = versionedstore.Open(ctx, rates)
	return nil
}

func (p *rateKeeper) Process(_ processor.Context[string, string], r processor.Record[string, int64]) error {
	_, _, err := p.rates.Put(r.Key, r.Value, r.Timestamp)
	return err
}

// converter looks up the rate that was valid at the time of a payment.
type converter struct {
	rates versionedstore.Store[string, int64]
}

func (p *converter) Init(ctx processor.Context[string, string]) error {
	p.rates = versionedstore.Open(ctx, rates)
	return nil
}

func (p *converter) Process(ctx processor.Context[string, string], r processor.Record[string, int64]) error {
	rate, ok, err := p.rates.GetAsOf(r.Key, r.Timestamp)
	if err != nil || !ok {
		return err
	}
	ctx.Forward(processor.NewRecord(r.Key, fmt.Sprintf("%d at rate %d", r.Value, rate.Value), r.Timestamp))
	return nil
}

// A payment is converted with the rate of its own time, even if a newer rate has come.
func Example() {
	b := topology.New()
	changes := topology.Source(b, "rates", serde.String, serde.Int64)
	payments := topology.Source(b, "payments", serde.String, serde.Int64)
	topology.Process(changes, "keep", func() *rateKeeper { return &rateKeeper{} }, serde.String, serde.String, rates)
	topology.Process(payments, "convert", func() *converter { return &converter{} }, serde.String, serde.String, rates).To("converted")
	topo, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}

	d := topologytest.New(topologytest.ForExample(), topo)
	in := topologytest.Input(d, "rates", serde.String, serde.Int64)
	in.Send("EUR", 110, time.UnixMilli(10))
	in.Send("EUR", 120, time.UnixMilli(30))
	in.Send("EUR", 115, time.UnixMilli(20)) // comes late
	topologytest.Input(d, "payments", serde.String, serde.Int64).Send("EUR", 5, time.UnixMilli(25))
	for _, r := range topologytest.Output(d, "converted", serde.String, serde.String).Records() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// EUR 5 at rate 115
}
