package topologytest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// TestCombiningChangesNothing aggregates by a new key, with and without combining the
// records in front of the repartition topic, and with random crashes. The rows must be
// equal.
func TestCombiningChangesNothing(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.Int64)
	byValue := func(name string) topology.Grouped[string, int64] {
		return topology.GroupBy(in, name, func(v int64) string { return fmt.Sprint(v % 6) }, serde.String)
	}
	add := func(a, b int64) int64 { return a + b }
	byValue("by-value").Count("counts").Stream().To("counts-out")
	byValue("to-sum").Reduce("sums", add, topology.Combine(add)).Stream().To("sums-out")
	topology.Aggregate(byValue("to-fold"), "squares", func() int64 { return 0 },
		func(sum int64, r processor.Record[string, int64]) int64 { return sum + r.Value*r.Value }, serde.Int64, topology.Combine(add)).Stream().To("squares-out")
	topo := build(t, b)
	combining := seam.Combining().(topologytest.Option)
	seedtest.Run(t, 20, func(t *testing.T, seed uint64) {
		runCombining(t, topo, seed)
		runCombining(t, topo, seed, combining)
	})
}

func runCombining(t *testing.T, topo *topology.Topology, seed uint64, opts ...topologytest.Option) {
	t.Helper()
	opts = append(opts, topologytest.CommitInterval(20*time.Millisecond), topologytest.Start(start),
		topologytest.Partitions("in", 3))
	d := topologytest.New(t, topo, opts...)
	r := rand.New(rand.NewPCG(seed, 1))
	records := topologytest.Input(d, "in", serde.String, serde.Int64)
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(seed)}
	counts, sums, squares, latest := map[string]int64{}, map[string]int64{}, map[string]int64{}, map[string]time.Time{}
	for i := range 150 {
		value := int64(r.IntN(60))
		at := start.Add(time.Duration(i+r.IntN(60)-40) * time.Millisecond)
		records.Send(fmt.Sprint(r.IntN(9)), value, at)
		key := fmt.Sprint(value % 6)
		counts[key]++
		sums[key] += value
		squares[key] += value * value
		if at.After(latest[key]) {
			latest[key] = at
		}
		d.Advance(time.Duration(r.IntN(9)) * time.Millisecond)
		switch r.IntN(50) {
		case 0:
			d.CrashAll(disks[r.IntN(len(disks))])
		case 1:
			d.Restart()
		}
	}
	d.Commit()
	for topic, want := range map[string]map[string]int64{"counts-out": counts, "sums-out": sums, "squares-out": squares} {
		got, at := map[string]int64{}, map[string]time.Time{}
		for _, r := range topologytest.Output(d, topic, serde.String, serde.Int64).Records() {
			got[r.Key], at[r.Key] = r.Value, r.Timestamp.Time()
		}
		if !maps.Equal(got, want) {
			t.Fatalf("seed %d: %s: rows %v, want %v", seed, topic, got, want)
		}
		for key, latest := range latest {
			if !at[key].Equal(latest) {
				t.Fatalf("seed %d: %s: the row of %s has the timestamp %v, want that of its latest record, %v", seed, topic, key, at[key], latest)
			}
		}
	}
}
