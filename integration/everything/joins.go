package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

// joins has the joins of streams.
func (e *everything) joins() {
	within := topology.Within(500 * time.Millisecond).Grace(grace)
	pair := func(o order, page string) string { return o.ID + "+" + page }
	either := func(o order, _ bool, page string, _ bool) string { return pair(o, page) }
	send(e, "pair", topology.JoinWindow(e.orders, e.clicks, "pair", within, pair, serde.String))
	left := func(o order, page string, _ bool) string { return pair(o, page) }
	send(e, "left-pair", topology.LeftJoinWindow(e.orders, e.clicks, "left-pair", within, left, serde.String))
	send(e, "outer-pair", topology.OuterJoinWindow(e.orders, e.clicks, "outer-pair", within, either, serde.String))
	ids := func(a, b order) string { return a.ID + "+" + b.ID }
	later := topology.Within(500 * time.Millisecond).Before(0).Grace(grace)
	send(e, "self-pair", topology.JoinWindow(e.orders, e.orders, "self-pair", later, ids, serde.String))

	priced := func(o order, price string, _ bool) string { return o.ID + " at " + price }
	send(e, "priced", topology.LeftJoin(e.orders, e.prices, priced, serde.String, topology.Grace(grace), topology.Named("priced")))
	send(e, "tier", topology.Join(e.orders, e.tiers, func(o order, tier string) string { return o.ID + " " + tier }, serde.String))
	byItem := func(o order) string { return o.Item }
	send(e, "region", topology.JoinGlobal(e.orders, e.regions, byItem, func(o order, region string) string { return o.ID + " " + region }, serde.String))
	maybe := func(o order, region string, _ bool) string { return o.ID + " " + region }
	send(e, "region-left", topology.LeftJoinGlobal(e.orders, e.regions, byItem, maybe, serde.String))
	rated := func(o order, n int64) string { return o.ID + " " + strconv.FormatInt(n, 10) }
	send(e, "rated", topology.JoinGlobal(e.orders, e.ratings, byItem, rated, serde.String))
}

var ratings = state.KeyValue("ratings", serde.String, serde.Int64)

// rating is the processor of a global store. It counts the ratings of each item.
type rating struct {
	ratings state.KeyValueStore[string, int64]
}

func (p *rating) Init(ctx processor.Context[struct{}, struct{}]) error {
	p.ratings = state.Open(ctx, ratings)
	return nil
}

func (p *rating) Process(_ processor.Context[struct{}, struct{}], r processor.Record[string, string]) error {
	n, _, err := p.ratings.Get(r.Key)
	return errors.Join(err, p.ratings.Put(r.Key, n+1))
}
