package topology_test

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// Total is the value of the table in the new version of the program.
type Total struct {
	Sum    int64
	Orders int64 // since the new version was deployed
}

func builtFrom(b *topology.Builder) *topology.Topology {
	built, err := b.Build()
	if err != nil {
		panic(err)
	}
	return built
}

// The first version of a program keeps sums. The second one keeps a struct, and continues
// with the sums.
func ExampleMigrate() {
	first := topology.New()
	orders := topology.GroupByKey(topology.Source(first, "orders", serde.String, serde.Int64), "by-customer")
	topology.Aggregate(orders, "totals", func() int64 { return 0 },
		func(sum int64, r processor.Record[string, int64]) int64 { return sum + r.Value }, serde.Int64)

	second := topology.New()
	orders = topology.GroupByKey(topology.Source(second, "orders", serde.String, serde.Int64), "by-customer")
	topology.Aggregate(orders, "totals", func() Total { return Total{} },
		func(t Total, r processor.Record[string, int64]) Total { return Total{t.Sum + r.Value, t.Orders + 1} }, serde.JSON[Total](),
		topology.Migrate(serde.Int64, func(sum int64) Total { return Total{Sum: sum} }))

	d := topologytest.New(topologytest.ForExample(), builtFrom(first))
	in := topologytest.Input(d, "orders", serde.String, serde.Int64)
	in.Send("ada", 30, time.Unix(1, 0))
	in.Send("bob", 10, time.Unix(2, 0))

	d.RestartWith(builtFrom(second))
	in.Send("ada", 12, time.Unix(3, 0))
	for e, err := range topologytest.Store[state.KeyValueStore[string, Total]](d, "totals", 0).All() {
		fmt.Println(e.Key, e.Value, err)
	}
	// Output:
	// ada {42 1} <nil>
	// bob {10 0} <nil>
}
