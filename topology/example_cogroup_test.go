package topology_test

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// Activity is what a user has done in a shop.
type Activity struct {
	Clicks int
	Spent  float64
}

func noActivity() Activity { return Activity{} }

func addClick(a Activity, _ processor.Record[string, string]) Activity {
	a.Clicks++
	return a
}

func addPurchase(a Activity, r processor.Record[string, float64]) Activity {
	a.Spent += r.Value
	return a
}

// The clicks and the purchases of each user, in one row.
func ExampleCogroup() {
	b := topology.New()
	clicks := topology.GroupByKey(topology.Source(b, "clicks", serde.String, serde.String), "clicks-by-user")
	purchases := topology.GroupByKey(topology.Source(b, "purchases", serde.String, serde.Float64), "purchases-by-user")
	both := topology.Cogroup(topology.Fold(clicks, addClick), topology.Fold(purchases, addPurchase))
	both.Aggregate("by-user", noActivity, serde.JSON[Activity]()).Stream().To("activity")

	d := start(b, topologytest.CommitInterval(time.Second))
	page := topologytest.Input(d, "clicks", serde.String, serde.String)
	price := topologytest.Input(d, "purchases", serde.String, serde.Float64)
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	page.Send("ann", "/shoes", at(1))
	page.Send("bob", "/hats", at(2))
	price.Send("ann", 79.95, at(3))
	page.Send("ann", "/socks", at(4))
	d.Commit()
	for _, r := range topologytest.Output(d, "activity", serde.String, serde.JSON[Activity]()).Records() {
		fmt.Println(r.Key, r.Value.Clicks, r.Value.Spent)
	}
	// Output:
	// ann 2 79.95
	// bob 1 0
}

// The same for each minute.
func ExampleCogrouped_Window() {
	b := topology.New()
	clicks := topology.GroupByKey(topology.Source(b, "clicks", serde.String, serde.String), "clicks-by-user")
	purchases := topology.GroupByKey(topology.Source(b, "purchases", serde.String, serde.Float64), "purchases-by-user")
	both := topology.Cogroup(topology.Fold(clicks, addClick), topology.Fold(purchases, addPurchase))
	perMinute := both.Window(topology.Tumbling(time.Minute)).Aggregate("per-minute", noActivity, serde.JSON[Activity]())
	perMinute.Stream().To("activity")

	d := start(b, topologytest.CommitInterval(time.Second))
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	page := topologytest.Input(d, "clicks", serde.String, serde.String)
	price := topologytest.Input(d, "purchases", serde.String, serde.Float64)
	page.Send("ann", "/shoes", at(50))
	page.Send("ann", "/socks", at(70))
	price.Send("ann", 79.95, at(55)) // not late: no purchase was later
	d.Commit()
	for _, r := range topologytest.Output(d, "activity", serde.TimeWindowed(serde.String, time.Minute), serde.JSON[Activity]()).Records() {
		fmt.Println(r.Key.Key, "from second", r.Key.Window.Start/1000, r.Value.Clicks, r.Value.Spent)
	}
	// Output:
	// ann from second 0 1 79.95
	// ann from second 60 1 0
}

// Visits of a shop: a visit ends when a user has done nothing for ten minutes.
func ExampleCogrouped_Sessions() {
	b := topology.New()
	clicks := topology.GroupByKey(topology.Source(b, "clicks", serde.String, serde.String), "clicks-by-user")
	purchases := topology.GroupByKey(topology.Source(b, "purchases", serde.String, serde.Float64), "purchases-by-user")
	both := topology.Cogroup(topology.Fold(clicks, addClick), topology.Fold(purchases, addPurchase))
	merge := func(a, b Activity) Activity { return Activity{Clicks: a.Clicks + b.Clicks, Spent: a.Spent + b.Spent} }
	visits := both.Sessions(10*time.Minute).Aggregate("visits", noActivity, merge, serde.JSON[Activity]())
	visits.Stream().To("visited")

	d := start(b, topologytest.CommitInterval(time.Second))
	at := func(minutes int64) time.Time { return time.Unix(60*minutes, 0) }
	page := topologytest.Input(d, "clicks", serde.String, serde.String)
	price := topologytest.Input(d, "purchases", serde.String, serde.Float64)
	page.Send("ann", "/shoes", at(0))
	price.Send("ann", 79.95, at(8))
	page.Send("ann", "/socks", at(30))
	d.Commit()
	for _, r := range topologytest.Output(d, "visited", serde.SessionWindowed(serde.String), serde.JSON[Activity]()).Records() {
		fmt.Println(r.Key.Key, "from minute", r.Key.Window.Start/60_000, "to", r.Key.Window.End/60_000, r.Value.Clicks, r.Value.Spent)
	}
	// Output:
	// ann from minute 0 to 8 1 79.95
	// ann from minute 30 to 30 1 0
}
