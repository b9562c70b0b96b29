package topologytest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// The inputs and outputs of allFamilies. An output is a table, whose newest rows are the
// result, or a stream, all records of which are.
var (
	familyInputs  = []string{"in", "other", "rows", "rights", "versions"}
	familyTables  = []string{"count", "by-value", "counted", "tumbling", "hopping", "sliding", "sessions", "cogroup", "joined", "sum", "foreign"}
	familyStreams = []string{"final", "closed", "pairs", "looked-up", "as-of"}

	// A row that is created and deleted between two commits is not sent. The timestamps
	// of these tables depend on whether it was.
	ofDeletions = []string{"joined", "sum", "foreign"}
)

// allFamilies has an operator of each family. None has late records, or rows that expire.
func allFamilies(t *testing.T) *topology.Topology {
	b := topology.New()
	source := func(topic string) topology.Stream[string, int64] {
		return topology.Source(b, topic, serde.String, serde.Int64)
	}
	table := func(topic string, opts ...topology.SourceTableOption) topology.Table[string, int64] {
		return topology.SourceTable(b, topic, serde.String, serde.Int64, opts...)
	}
	windows := func(t topology.Table[serde.Windowed[string], int64], topic string) {
		topology.Map(t.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, int64] {
			return processor.WithKey(r, fmt.Sprintf("%s %d %d", r.Key.Key, r.Key.Window.Start, r.Key.Window.End))
		}, serde.String, serde.Int64).To(topic)
	}
	in, other, rows := source("in"), source("other"), table("rows")

	by := topology.GroupByKey(in, "by-key")
	counts := by.Count("counts")
	counts.Stream().To("count")
	topology.GroupBy(in, "by-value", func(n int64) string { return fmt.Sprint(n) }, serde.String).Reduce("values", sumOfTwo).Stream().To("by-value")
	topology.GroupBy(in, "by-digit", func(n int64) string { return fmt.Sprint(n) }, serde.String).Count("digits").Stream().To("counted")
	tumbling := topology.Tumbling(20 * time.Millisecond)
	windows(by.Window(tumbling).Reduce("tumblings", sumOfTwo).Table, "tumbling")
	windows(by.Window(topology.Hopping(20*time.Millisecond, 5*time.Millisecond)).Reduce("hoppings", sumOfTwo).Table, "hopping")
	windows(by.Window(topology.Sliding(20*time.Millisecond)).Reduce("slidings", sumOfTwo).Table, "sliding")
	windows(by.Sessions(10*time.Millisecond).Reduce("visits", sumOfTwo).Table, "sessions")
	windows(by.Window(tumbling).Reduce("finals", sumOfTwo).Final().Table, "final")
	windows(by.Window(tumbling).Reduce("helds", sumOfTwo).Suppress("closeds", topology.UntilClosed()), "closed")
	both := topology.Cogroup(topology.Fold(by, addLeft), topology.Fold(topology.GroupByKey(other, "others"), addLeft))
	windows(both.Window(tumbling).Aggregate("cogroups", noSum, serde.Int64).Table, "cogroup")

	pair := func(l int64, lok bool, r int64, rok bool) int64 { return l*1000 + r }
	topology.OuterJoinWindow(in, other, "pairs", topology.Within(15*time.Millisecond), pair, serde.Int64).To("pairs")
	look := func(v, row int64, ok bool) int64 { return v*1000 + row }
	topology.LeftJoin(in, rows, look, serde.Int64).To("looked-up")
	versions := table("versions", topology.Versioned(time.Hour))
	topology.LeftJoin(other, versions, look, serde.Int64, topology.Grace(10*time.Millisecond), topology.Named("as-of")).To("as-of")
	topology.OuterJoinTables(rows, counts, pair, serde.Int64).Stream().To("joined")
	subtract := func(a, b int64) int64 { return a - b }
	topology.GroupTable(rows, "all", func(n int64) string { return fmt.Sprint(n % 3) }, serde.String).Reduce("sums", sumOfTwo, subtract).Stream().To("sum")
	right := func(n int64) (string, bool) { return fmt.Sprint("k", n%8), true }
	topology.JoinForeign(rows, table("rights"), "foreigns", right, func(l, r int64) int64 { return l*1000 + r }, serde.Int64).Stream().To("foreign")
	return build(t, b)
}

// runFamilies sends the records of a seed to topics with a number of partitions, and
// returns the results. disturb is called after each record.
func runFamilies(t *testing.T, topo *topology.Topology, seed uint64, partitions, rights int32, disturb func(d *topologytest.Driver), opts ...topologytest.Option) map[string][]string {
	t.Helper()
	for _, topic := range familyInputs {
		n := partitions
		if topic == "rights" {
			n = rights
		}
		opts = append(opts, topologytest.Partitions(topic, n))
	}
	d := topologytest.New(t, topo, opts...)
	r := rand.New(rand.NewPCG(seed, 61))
	at := int64(1000)
	for range 150 {
		at += 1 + r.Int64N(6)
		record := processor.NewRecord(fmt.Sprint("k", r.IntN(8)), r.Int64N(10), processor.Timestamp(at))
		topic := familyInputs[r.IntN(len(familyInputs))]
		if record.NoValue = strings.HasPrefix(topic, "r") && r.IntN(5) == 0; record.NoValue {
			record.Value = 0
		}
		topologytest.Input(d, topic, serde.String, serde.Int64).SendRecord(record)
		disturb(d)
	}
	for p := range partitions { // closes the windows of each task
		for _, topic := range []string{"in", "other"} {
			topologytest.Input(d, topic, serde.String, serde.Int64).SendTo(p, processor.NewRecord("end", int64(-1), processor.Timestamp(at+1000)))
		}
	}
	d.Commit()
	return familyResults(d)
}

// familyResults returns the results by topic, except those of the last records.
func familyResults(d *topologytest.Driver) map[string][]string {
	results := map[string][]string{}
	for _, topic := range familyStreams {
		for _, r := range topologytest.Output(d, topic, serde.String, serde.Int64).Records() {
			if !strings.HasPrefix(r.Key, "end") {
				results[topic] = append(results[topic], fmt.Sprintf("%s=%d@%d", r.Key, r.Value, r.Timestamp))
			}
		}
		slices.Sort(results[topic])
	}
	for _, topic := range familyTables {
		rows := map[string]string{}
		for _, r := range topologytest.Output(d, topic, serde.String, serde.Int64).Records() {
			if delete(rows, r.Key); r.NoValue || strings.HasPrefix(r.Key, "end") || r.Key == "-1" {
				continue
			}
			if rows[r.Key] = fmt.Sprintf("%s=%d", r.Key, r.Value); !slices.Contains(ofDeletions, topic) {
				rows[r.Key] += fmt.Sprint("@", r.Timestamp)
			}
		}
		results[topic] = slices.Sorted(maps.Values(rows))
	}
	return results
}

// TestPartitionsChangeNothing runs an operator of each family over any number of
// partitions, workers and records of a commit, over crashes, lost disks and restarts,
// with and without the shortcuts to rows and combined counts. The results are those of
// one partition without a crash.
func TestPartitionsChangeNothing(t *testing.T) {
	t.Parallel()
	topo := allFamilies(t)
	results := map[string]int{}
	seedtest.Run(t, 4, func(t *testing.T, seed uint64) {
		want := runFamilies(t, topo, seed, 1, 1, func(*topologytest.Driver) {})
		r := rand.New(rand.NewPCG(seed, 62))
		opts := []topologytest.Option{topologytest.Workers(1 + r.IntN(3)), topologytest.CommitInterval(time.Hour)}
		if r.IntN(2) == 0 {
			opts = append(opts, topologytest.EveryUpdate())
		}
		if seed%2 == 0 {
			opts = append(opts, seam.NoShortcuts().(topologytest.Option))
		}
		if seed/2%2 == 0 {
			opts = append(opts, seam.Combining().(topologytest.Option))
		}
		partitions, rights := 2+r.Int32N(3), 1+r.Int32N(4)
		disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(seed)}
		got := runFamilies(t, topo, seed, partitions, rights, func(d *topologytest.Driver) {
			switch disk := disks[r.IntN(len(disks))]; r.IntN(20) {
			case 0, 1:
				d.Commit()
			case 2:
				d.CrashAll(disk)
			case 3:
				d.Crash("counts", r.Int32N(partitions), disk)
			case 4:
				d.Restart()
			}
		}, opts...)
		for topic := range want {
			results[topic] += len(want[topic])
			if !slices.Equal(got[topic], want[topic]) {
				t.Errorf("%d and %d partitions: %s has\n%v, want\n%v", partitions, rights, topic, got[topic], want[topic])
			}
		}
	})
	for topic, n := range results {
		if n == 0 {
			t.Errorf("%s has no result", topic)
		}
	}
}
