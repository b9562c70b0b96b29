package topology_test

import (
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// Carts that nobody has changed for a day expire, and are subtracted from the number of
// carts in their country. Stream time decides, so a record of another cart is enough.
func ExampleTTL() {
	b := topology.New()
	carts := topology.SourceTable(b, "carts", serde.String, serde.String, topology.TTL(24*time.Hour))
	country := func(of string) string { return of }
	topology.GroupTable(carts, "by-country", country, serde.String).Count("carts-by-country").Stream().To("counts")

	d := start(b, topologytest.EveryUpdate())
	in := topologytest.Input(d, "carts", serde.String, serde.String)
	hour := func(n int) time.Time { return time.UnixMilli(0).Add(time.Duration(n) * time.Hour) }
	in.Send("ann", "NO", hour(0))
	in.Send("bob", "NO", hour(12))
	in.Send("ann", "NO", hour(18)) // another day for ann
	in.Send("cid", "IT", hour(36)) // bob's day is over
	printTopic(d, "counts", serde.Int64)
	// Output:
	// counts: NO 1
	// counts: NO 2
	// counts: NO 2
	// counts: NO 1
	// counts: IT 1
}
