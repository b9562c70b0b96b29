package main

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// timedGrace is so long that no record is late, whatever the order in which partitions
// are read. The results then depend on the records alone.
const timedGrace = 24 * time.Hour

// timed cuts -in into sessions and sliding windows, and joins it with -also. The key of a
// result says which operator it comes from. The count of a row that was deleted is 0.
func (o options) timed(b *topology.Builder) {
	left := topology.Source(b, o.in, serde.String, serde.String)
	right := topology.Source(b, o.also, serde.String, serde.String)
	byKey := topology.GroupByKey(left, "by-key")
	o.send("session", byKey.Sessions(time.Second).Grace(timedGrace).Count("sessions"))
	o.send("sliding", byKey.Window(topology.Sliding(time.Second).Grace(timedGrace)).Count("sliding"))
	within := topology.Within(500 * time.Millisecond).Grace(timedGrace)
	pairs := topology.OuterJoinWindow(left, right, "joined", within, func(l string, _ bool, r string, _ bool) string { return l + "+" + r }, serde.String)
	topology.Map(pairs, func(r processor.Record[string, string]) processor.Record[string, string] {
		return processor.NewRecord("join "+r.Key, r.Value, r.Timestamp)
	}, serde.String, serde.String).To(o.out)
}

func (o options) send(operator string, t topology.WindowedTable[string, int64]) {
	topology.Map(t.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
		key := fmt.Sprintf("%s %s %d %d", operator, r.Key.Key, r.Key.Window.Start, r.Key.Window.End)
		return processor.NewRecord(key, fmt.Sprint(r.Value), r.Timestamp)
	}, serde.String, serde.String).To(o.out)
}
