package topology_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

func TestGraceIsChecked(t *testing.T) {
	t.Parallel()
	and := func(a, b string) string { return a + b }
	for want, test := range map[string]struct {
		table []topology.SourceTableOption
		join  []topology.JoinOption
	}{
		"Grace needs a table that keeps versions": {nil, []topology.JoinOption{topology.Grace(time.Second), topology.Named("j")}},
		"which is less than the grace 1m0s":       {[]topology.SourceTableOption{topology.Versioned(time.Second)}, []topology.JoinOption{topology.Grace(time.Minute), topology.Named("j")}},
		"the grace -1s must not be negative":      {[]topology.SourceTableOption{topology.Versioned(time.Second)}, []topology.JoinOption{topology.Grace(-time.Second), topology.Named("j")}},
		"must be a whole number of milliseconds":  {[]topology.SourceTableOption{topology.Versioned(time.Second)}, []topology.JoinOption{topology.Grace(time.Microsecond), topology.Named("j")}},
		"give the join a name":                    {[]topology.SourceTableOption{topology.Versioned(time.Second)}, []topology.JoinOption{topology.Grace(time.Second)}},
		"history 0s must be positive":             {[]topology.SourceTableOption{topology.Versioned(0)}, nil},
		"has WithoutStore together with":          {[]topology.SourceTableOption{topology.Versioned(time.Second), topology.WithoutStore()}, nil},
	} {
		b := topology.New()
		table := topology.SourceTable(b, "t", serde.String, serde.String, test.table...)
		topology.Join(topology.Source(b, "s", serde.String, serde.String), table, and, serde.String, test.join...).To("out")
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Build: %v, want %q", err, want)
		}
	}
}

// A join finds the rows of tables that are derived from a versioned one as of the
// record's timestamp too.
func TestJoinWithDerivedVersions(t *testing.T) {
	t.Parallel()
	b := topology.New()
	table := topology.SourceTable(b, "t", serde.String, serde.Int64, topology.Versioned(time.Hour))
	even := topology.MapTable(table.Filter(func(n int64) bool { return n%2 == 0 }), func(n int64) string { return fmt.Sprint("n", n) }, serde.String)
	s := topology.Source(b, "s", serde.String, serde.String)
	topology.LeftJoin(s, even, func(v, row string, ok bool) string { return fmt.Sprint(v, row, ok) }, serde.String).To("out")
	d := start(b)
	rows := topologytest.Input(d, "t", serde.String, serde.Int64)
	for i := range int64(5) {
		rows.Send("k", i, time.UnixMilli(10*i))
	}
	in := topologytest.Input(d, "s", serde.String, serde.String)
	for _, at := range []int64{5, 15, 25, 100} {
		in.Send("k", "v", time.UnixMilli(at))
	}
	var got []string
	for _, r := range topologytest.Output(d, "out", serde.String, serde.String).Records() {
		got = append(got, r.Value)
	}
	if want := "[vn0true vfalse vn2true vn4true]"; fmt.Sprint(got) != want {
		t.Errorf("results %v, want %s", got, want)
	}
}

// TestFilterPassesDeletionsOfVersions: an earlier version was passed on behind the newest
// one, which does not pass. The deletion of the row comes last.
func TestFilterPassesDeletionsOfVersions(t *testing.T) {
	t.Parallel()
	b := topology.New()
	table := topology.SourceTable(b, "t", serde.String, serde.Int64, topology.Versioned(time.Hour))
	table.Filter(func(n int64) bool { return n%2 == 0 }).Stream().To("out")
	d := start(b)
	rows := topologytest.Input(d, "t", serde.String, serde.Int64)
	rows.Send("k", 1, time.UnixMilli(30))
	rows.Send("k", 2, time.UnixMilli(26))
	rows.SendRecord(processor.Record[string, int64]{Key: "k", NoValue: true, Timestamp: 45})
	records := topologytest.Output(d, "out", serde.String, serde.Int64).Records()
	if n := len(records); n == 0 || !records[n-1].NoValue {
		t.Errorf("records %v, want a deletion at the end", records)
	}
}

// Prices change, and the news may come late. An order has the price of its own time.
func ExampleGrace() {
	b := topology.New()
	prices := topology.SourceTable(b, "prices", serde.String, serde.Int64, topology.Versioned(time.Hour))
	orders := topology.Source(b, "orders", serde.String, serde.Int64)
	topology.Join(orders, prices, func(n, price int64) string { return fmt.Sprintf("%d for %d each", n, price) }, serde.String,
		topology.Grace(10*time.Millisecond), topology.Named("priced")).To("priced")

	d := start(b)
	price := topologytest.Input(d, "prices", serde.String, serde.Int64)
	order := topologytest.Input(d, "orders", serde.String, serde.Int64)
	price.Send("tea", 3, time.UnixMilli(0))
	order.Send("tea", 2, time.UnixMilli(20))
	price.Send("tea", 5, time.UnixMilli(25))
	price.Send("tea", 4, time.UnixMilli(15)) // comes late
	order.Send("tea", 1, time.UnixMilli(30))
	order.Send("tea", 1, time.UnixMilli(60))
	printTopic(d, "priced", serde.String)
	// Output:
	// priced: tea 2 for 4 each
	// priced: tea 1 for 5 each
}
