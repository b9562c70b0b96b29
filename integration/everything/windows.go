package main

import (
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// windows has the aggregations over windows. Those whose names end in -closed send each
// window once.
func (e *everything) windows() {
	byUser := topology.GroupByKey(e.orders, "windows-by-user")
	clicksByUser := topology.GroupByKey(e.clicks, "windows-clicks-by-user")
	tumbling := topology.Tumbling(time.Second).Grace(grace)
	hopping := topology.Hopping(time.Second, 400*time.Millisecond).Grace(grace)

	perSecond := byUser.Window(tumbling).Count("tumbling")
	sendWindows(e, "tumbling", perSecond.Stream())
	sendWindows(e, "tumbling-closed", byUser.Window(tumbling).Count("final").Final().Stream())
	sum := topology.AggregateWindows(byUser.Window(hopping), "hopping", zero, addOrder, serde.Int64)
	sendWindows(e, "hopping", sum.Stream())
	sendWindows(e, "hopping-closed", sum.Suppress("hopping-closed", topology.UntilClosed()).Stream())
	sendWindows(e, "forever", byUser.Window(topology.Unlimited(time.UnixMilli(0))).Count("forever").Stream())
	sendWindows(e, "sliding", byUser.Window(topology.Sliding(time.Second).Grace(grace)).Count("sliding").Stream())
	sendWindows(e, "session", byUser.Sessions(time.Second).Grace(grace).Count("sessions").Stream())
	sendWindows(e, "session-closed", byUser.Sessions(time.Second).Grace(grace).Count("final-sessions").Final().Stream())

	both := topology.Cogroup(topology.Fold(byUser, addOrder), topology.Fold(clicksByUser, addThousand))
	sendWindows(e, "cogroup-tumbling", both.Window(tumbling).Aggregate("cogroup-tumbling", zero, serde.Int64).Stream())
	sendWindows(e, "cogroup-closed", both.Window(hopping).Aggregate("cogroup-hopping", zero, serde.Int64).Final().Stream())
	add := func(a, b int64) int64 { return a + b }
	sendWindows(e, "cogroup-session", both.Sessions(time.Second).Grace(grace).Aggregate("cogroup-sessions", zero, add, serde.Int64).Stream())

	// the number of windows of each user
	windows := topology.GroupTableRecord(perSecond.Table, "by-windowed-user", func(r processor.Record[serde.Windowed[string], int64]) (string, error) {
		return r.Key.Key, nil
	}, serde.String)
	send(e, "windows", windows.Count("windows").Stream())
}
