package topology_test

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// How many users live in each city. Moving takes a user out of the one count and into the
// other.
func ExampleGroupTable() {
	b := topology.New()
	cities := topology.SourceTable(b, "cities", serde.String, serde.String)
	inCity := func(city string) string { return city }
	topology.GroupTable(cities, "by-city", inCity, serde.String).Count("users-by-city").Stream().To("counts")

	d := start(b, topologytest.EveryUpdate())
	in := topologytest.Input(d, "cities", serde.String, serde.String)
	in.Send("ann", "Rome", time.UnixMilli(1))
	in.Send("bob", "Rome", time.UnixMilli(2))
	in.Send("ann", "Oslo", time.UnixMilli(3))
	printTopic(d, "counts", serde.Int64)
	// Output:
	// counts: Rome 1
	// counts: Rome 2
	// counts: Rome 1
	// counts: Oslo 1
}

// The ages of users, and the adults among them in a table of their own.
func ExampleSourceTable() {
	b := topology.New()
	ages := topology.SourceTable(b, "ages", serde.String, serde.Int64)
	adults := ages.Filter(func(age int64) bool { return age >= 18 }).Stored("adults")
	topology.MapTable(adults, func(age int64) string { return fmt.Sprint(age, " years") }, serde.String).
		Stream().To("adults-out")

	d := start(b)
	in := topologytest.Input(d, "ages", serde.String, serde.Int64)
	in.Send("ann", 17, time.UnixMilli(1))
	in.Send("bob", 30, time.UnixMilli(2))
	in.Send("ann", 18, time.UnixMilli(3))
	printTopic(d, "adults-out", serde.String)
	for e, err := range topologytest.Store[state.KeyValueStore[string, int64]](d, "adults", 0).All() {
		fmt.Println("adults:", e.Key, e.Value, err)
	}
	// Output:
	// adults-out: bob 30 years
	// adults-out: ann 18 years
	// adults: ann 18 <nil>
	// adults: bob 30 <nil>
}
