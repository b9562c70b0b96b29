package topology_test

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// The number of clicks of each page, at most every ten seconds.
func ExampleTable_Suppress() {
	b := topology.New()
	clicks := topology.GroupByKey(topology.Source(b, "clicks", serde.String, serde.String), "by-page").Count("clicks")
	clicks.Suppress("calm", topology.UntilTimeLimit(10*time.Second)).Stream().To("counts")

	d := start(b)
	in := topologytest.Input(d, "clicks", serde.String, serde.String)
	// The fifth click comes ten seconds after the first one.
	for _, second := range []int64{1, 2, 5, 10, 11, 12} {
		in.Send("/home", "ann", time.Unix(second, 0))
		d.Commit()
	}
	printTopic(d, "counts", serde.Int64)
	// Output:
	// counts: /home 5
}

// The same windows as with WindowedTable.Final, behind a filter.
func ExampleUntilClosed() {
	b := topology.New()
	visits := topology.GroupByKey(topology.Source(b, "visits", serde.String, serde.String), "by-user")
	perMinute := visits.Window(topology.Tumbling(time.Minute)).Count("per-minute")
	busy := perMinute.Filter(func(n int64) bool { return n > 1 })
	busy.Suppress("busy", topology.UntilClosed()).Stream().To("out")

	d := start(b)
	in := topologytest.Input(d, "visits", serde.String, serde.String)
	for _, user := range []string{"ann", "bob", "ann", "ann"} {
		in.Send(user, "/home", time.Unix(10, 0))
	}
	in.Send("bob", "/home", time.Unix(60, 0))
	d.Commit()
	for _, r := range topologytest.Output(d, "out", serde.TimeWindowed(serde.String, time.Minute), serde.Int64).Records() {
		fmt.Println(r.Key.Key, r.Value)
	}
	// Output:
	// ann 3
}
