// Everything runs one topology with all families of operators: sources by topic and by
// pattern, all windows, suppression, tables, versioned and global tables, all joins,
// cogroup, and processors with stores. The test that runs it compares its results with a
// model, so each of them depends on the input alone, and not on the order in which
// partitions are read:
//
//   - Windows, stream-stream joins and joins with a versioned table have a grace longer
//     than the input. Late records of the test, in event time, are never late for them.
//   - The tables of the joins without a grace (tiers, regions, ratings) do not change
//     after their topics have been read.
//   - Other tables forward their last row for each key in the end, whatever came before.
//
// All results go to one topic. Their keys begin with the name of the operator.
package main

import (
	"flag"
	"regexp"
	"time"

	"github.com/millrace-streams/millrace/integration/internal/program"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// grace is longer than the input, in event time.
const grace = 24 * time.Hour

// order is the value of the topics orders-*. Their keys are users.
type order struct {
	ID   string `json:"id"`
	Item string `json:"item"`
	N    int64  `json:"n"`
}

// everything holds the sources, and the topic of the results.
type everything struct {
	out      string
	orders   topology.Stream[string, order]  // by user
	clicks   topology.Stream[string, string] // pages by user
	users    topology.Table[string, string]  // cities by user
	accounts topology.Table[string, int64]   // balances by user
	tickets  topology.Table[string, string]  // users by ticket
	tiers    topology.Table[string, string]  // by user; complete before the first order
	prices   topology.Table[string, string]  // versions, by user
	regions  topology.Global[string, string] // by item; complete before the first order
	ratings  topology.Global[string, int64]  // numbers of ratings by item; the same
}

func main() {
	prefix := flag.String("prefix", "", "text in front of the name of each topic")
	flags := program.Register()
	flag.Parse()
	b := topology.New()
	e := sources(b, *prefix)
	e.streams()
	e.windows()
	e.tables()
	e.joins()
	program.Main(b, flags.Config())
}

func sources(b *topology.Builder, prefix string) *everything {
	return &everything{
		out:      prefix + "out",
		orders:   topology.SourcePattern(b, "orders", regexp.QuoteMeta(prefix)+"orders-[a-z]", serde.String, serde.JSON[order]()),
		clicks:   topology.Source(b, prefix+"clicks", serde.String, serde.String),
		users:    topology.SourceTable(b, prefix+"users", serde.String, serde.String),
		accounts: topology.SourceTable(b, prefix+"accounts", serde.String, serde.Int64),
		tickets:  topology.SourceTable(b, prefix+"tickets", serde.String, serde.String),
		tiers:    topology.SourceTable(b, prefix+"tiers", serde.String, serde.String, topology.SourceAsChangelog()),
		prices:   topology.SourceTable(b, prefix+"prices", serde.String, serde.String, topology.Versioned(4*grace)),
		regions:  topology.GlobalTable(b, prefix+"regions", serde.String, serde.String),
		ratings: topology.GlobalStore(b, prefix+"ratings", serde.String, serde.String, ratings,
			func() *rating { return &rating{} }),
	}
}
