package topology_test

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// The last minute is counted too, although no record comes after it: when the topic has
// been idle for half a minute, stream time goes on without records.
func ExampleIdleAfter() {
	b := topology.New()
	logins := topology.GroupByKey(topology.Source(b, "logins", serde.String, serde.String), "by-user")
	minutes := topology.Tumbling(time.Minute).Grace(5 * time.Second)
	logins.Window(minutes).Count("per-minute", topology.IdleAfter(30*time.Second)).Final().Stream().To("counts")

	d := start(b)
	in := topologytest.Input(d, "logins", serde.String, serde.String)
	counts := topologytest.Output(d, "counts", serde.TimeWindowed(serde.String, time.Minute), serde.Int64)
	in.Send("ann", "phone", time.Unix(50, 0))
	for range 3 {
		d.Advance(10 * time.Second)
		fmt.Println(len(counts.Records()), "results")
	}
	in.Send("ann", "laptop", time.Unix(58, 0)) // late: the window is closed
	fmt.Println(d.Dropped(), "dropped")
	// Output:
	// 0 results
	// 0 results
	// 1 results
	// 1 dropped
}

// The logins of each minute, once the minute is over and five seconds of grace have
// passed.
func ExampleWindowedTable_Final() {
	b := topology.New()
	logins := topology.GroupByKey(topology.Source(b, "logins", serde.String, serde.String), "by-user")
	minutes := topology.Tumbling(time.Minute).Grace(5 * time.Second)
	logins.Window(minutes).Count("per-minute").Final().Stream().To("counts")

	d := start(b)
	in := topologytest.Input(d, "logins", serde.String, serde.String)
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	in.Send("ann", "phone", at(10))
	in.Send("bob", "phone", at(59))
	in.Send("ann", "laptop", at(61))
	in.Send("ann", "tablet", at(58)) // in time: the grace is not over
	in.Send("bob", "laptop", at(65)) // closes the first minute
	in.Send("ann", "watch", at(58))  // late: dropped, and counted as dropped
	d.Commit()
	counts := topologytest.Output(d, "counts", serde.TimeWindowed(serde.String, time.Minute), serde.Int64)
	for _, r := range counts.Records() {
		fmt.Println(r.Key.Key, "in the minute from second", r.Key.Window.Start/1000, "logged in", r.Value, "times")
	}
	fmt.Println(d.Dropped(), "dropped")
	// Output:
	// ann in the minute from second 0 logged in 2 times
	// bob in the minute from second 0 logged in 1 times
	// 1 dropped
}
