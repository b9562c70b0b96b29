package main

import (
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

const (
	// payBy is how long after its order a payment may come.
	payBy = 30 * time.Second
	// late is how much later than others a record may arrive.
	late = 5 * time.Second
)

// byMinute is the serde of the keys of per-minute.
var byMinute = serde.TimeWindowed(serde.String, time.Minute)

// job describes the topology.
func job() (*topology.Topology, error) {
	b := topology.New()
	users := topology.SourceTable(b, "users", serde.String, serde.JSON[user]())
	regions := topology.GlobalTable(b, "regions", serde.String, serde.JSON[region]())
	orders := topology.Source(b, "orders", serde.String, serde.JSON[order]())
	payments := topology.Source(b, "payments", serde.String, serde.JSON[payment]())

	// Orders have the key of the table of users, so they are joined where they are. A
	// global table can be joined by any key.
	known := topology.Join(orders, users, withUser, serde.JSON[priced]())
	all := topology.JoinGlobal(known, regions, priced.code, withRegion, serde.JSON[priced]())

	// Payments have another key, so the orders go through a topic, by ID.
	byID := topology.Repartition(topology.SelectKey(all, id, serde.String), "by-id")
	inTime := topology.Within(payBy).Before(0).Grace(late)
	results := topology.LeftJoinWindow(byID, payments, "paid", inTime, settle, serde.JSON[settled]())
	results.To("settled")

	paid := results.Filter(func(s settled) bool { return s.Paid })
	byUser := topology.GroupBy(paid, "by-user", func(s settled) string { return s.User }, serde.String)
	topology.Aggregate(byUser, "totals", newTotal, func(t total, r processor.Record[string, settled]) total {
		return t.add(r.Value.Name, r.Value)
	}, serde.JSON[total]()).Stream().To("totals")

	byRegion := topology.GroupBy(paid, "by-region", func(s settled) string { return s.Code }, serde.String)
	minutes := byRegion.Window(topology.Tumbling(time.Minute).Grace(late))
	topology.AggregateWindows(minutes, "per-minute", newTotal, func(t total, r processor.Record[string, settled]) total {
		return t.add(r.Value.Region, r.Value)
	}, serde.JSON[total]()).Final().Stream().To("per-minute")
	return b.Build()
}

func withUser(o order, u user) priced { return priced{order: o, Name: u.Name, Code: u.Region} }

func (p priced) code() string { return p.Code }

func withRegion(p priced, r region) priced {
	p.Region = r.Name
	p.Total = p.Price * cents(p.Count*(100+r.VAT)) / 100
	return p
}

func id(r processor.Record[string, priced]) string { return r.Value.ID }

func settle(p priced, paid payment, ok bool) settled {
	if !ok {
		return settled{priced: p}
	}
	return settled{priced: p, Paid: true, Seconds: int(paid.At.Sub(p.At) / time.Second)}
}

func newTotal() total { return total{} }
