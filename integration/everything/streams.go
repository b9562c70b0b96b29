package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/sessionstore"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/versionedstore"
	"github.com/millrace-streams/millrace/windowstore"
)

// streams has the operators without windows.
func (e *everything) streams() {
	byUser := topology.GroupByKey(e.orders, "by-user")
	clicksByUser := topology.GroupByKey(e.clicks, "clicks-by-user")
	byItem := topology.GroupBy(e.orders, "by-item", func(o order) string { return o.Item }, serde.String)

	send(e, "count", byUser.Count("count").Stream())
	sum := topology.Aggregate(byItem, "sum", zero, addOrder, serde.Int64)
	send(e, "sum", sum.Stream())
	send(e, "calm", sum.Suppress("calm", topology.UntilTimeLimit(time.Second)).Stream())
	send(e, "longest", clicksByUser.Reduce("longest", func(a, b string) string { return max(a, b) }, topology.EveryUpdate()).Stream())
	both := topology.Cogroup(topology.Fold(byUser, addOrder), topology.Fold(clicksByUser, addThousand))
	send(e, "cogroup", both.Aggregate("cogroup", zero, serde.Int64).Stream())

	pages := topology.FlatMapValues(e.clicks, func(page string) []string { return strings.Split(page, "/") }, serde.String)
	ways := pages.Branch("way", topology.Case("even", even), topology.Default[string]("odd"))
	merged := topology.Repartition(ways[0].Merge(ways[1]), "merged")
	send(e, "merged", topology.GroupByKey(merged, "merged-by-user").Count("merged-count").Stream())

	orders := topology.MapValues(e.orders, func(o order) int64 { return o.N }, serde.Int64)
	send(e, "processed", topology.Process(orders, "totals", func() *totals { return &totals{} }, serde.String, serde.Int64, sums, seconds))
	send(e, "dated", topology.Process(e.clicks, "dated", func() *dated { return &dated{} }, serde.String, serde.Int64, dates))
	send(e, "visited", topology.Process(e.clicks, "visited", func() *visited { return &visited{} }, serde.String, serde.Int64, visits))
	clicked := topology.ProcessValues(e.clicks, "clicked", func() *clicked { return &clicked{} }, serde.Int64, clicks)
	send(e, "clicked", topology.GroupByKey(clicked, "clicked-by-user").Reduce("last-clicked", func(a, b int64) int64 { return max(a, b) }).Stream())
}

var clicks = state.KeyValue("clicks", serde.String, serde.Int64)

// clicked is a processor of values. It forwards, for each click, the number of clicks of
// its user.
type clicked struct {
	clicks state.KeyValueStore[string, int64]
}

func (c *clicked) Init(ctx processor.FixedKeyContext[string, int64]) error {
	c.clicks = state.Open(ctx.Stores(), clicks)
	return nil
}

func (c *clicked) Process(ctx processor.FixedKeyContext[string, int64], r processor.FixedKeyRecord[string, string]) error {
	n, _, err := c.clicks.Get(r.Key())
	if err != nil {
		return err
	}
	ctx.Forward(processor.WithFixedKeyValue(r, n+1))
	return c.clicks.Put(r.Key(), n+1)
}

func zero() int64 { return 0 }

func addOrder(a int64, r processor.Record[string, order]) int64 { return a + r.Value.N }

func addThousand(a int64, _ processor.Record[string, string]) int64 { return a + 1000 }

func even(part string) bool { return len(part)%2 == 0 }

var (
	sums    = state.KeyValue("sums", serde.String, serde.Int64)
	seconds = windowstore.New("seconds", serde.String, serde.Int64, time.Second, 4*grace)
)

// totals is a processor with two stores. It forwards, for each record, the sum of the
// values of its key, and the number of records of its key in its second.
type totals struct {
	sums    state.KeyValueStore[string, int64]
	seconds windowstore.Store[string, int64]
}

func (t *totals) Init(ctx processor.Context[string, int64]) error {
	t.sums, t.seconds = state.Open(ctx, sums), windowstore.Open(ctx, seconds)
	return nil
}

func (t *totals) Process(ctx processor.Context[string, int64], r processor.Record[string, int64]) error {
	sum, _, err := t.sums.Get(r.Key)
	if err != nil {
		return err
	}
	second := r.Timestamp - r.Timestamp%1000
	n, _, err := t.seconds.Get(r.Key, second)
	if err != nil {
		return err
	}
	ctx.Forward(processor.WithValue(r, sum+r.Value))
	ctx.Forward(processor.NewRecord(fmt.Sprint(r.Key, " ", int64(second)), n+1, r.Timestamp))
	return errors.Join(t.sums.Put(r.Key, sum+r.Value), t.seconds.Put(r.Key, n+1, second))
}

var dates = versionedstore.New("dates", serde.String, serde.String, 8*grace)

// dated is a processor with a versioned store. It forwards, for each click, the time of
// the latest click of its user.
type dated struct {
	dates versionedstore.Store[string, string]
}

func (d *dated) Init(ctx processor.Context[string, int64]) error {
	d.dates = versionedstore.Open(ctx, dates)
	return nil
}

func (d *dated) Process(ctx processor.Context[string, int64], r processor.Record[string, string]) error {
	if _, _, err := d.dates.Put(r.Key, r.Value, r.Timestamp); err != nil {
		return err
	}
	latest, _, err := d.dates.Get(r.Key)
	ctx.Forward(processor.WithValue(r, int64(latest.From)))
	return err
}

var visits = sessionstore.New("visits", serde.String, serde.Int64, 4*grace)

// visited is a processor with a session store. It forwards, for each click, the number of
// clicks of its user in that second.
type visited struct {
	visits sessionstore.Store[string, int64]
}

func (v *visited) Init(ctx processor.Context[string, int64]) error {
	v.visits = sessionstore.Open(ctx, visits)
	return nil
}

func (v *visited) Process(ctx processor.Context[string, int64], r processor.Record[string, string]) error {
	second := r.Timestamp - r.Timestamp%1000
	n, _, err := v.visits.Get(r.Key, second, second+999)
	if err != nil {
		return err
	}
	ctx.Forward(processor.NewRecord(fmt.Sprint(r.Key, " ", int64(second)), n+1, r.Timestamp))
	return v.visits.Put(r.Key, n+1, second, second+999)
}
