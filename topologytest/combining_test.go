package topologytest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// TestCombiningCountsTheSame counts by a new key, with and without combining the records
// in front of the repartition topic, and with random crashes. The counts must be equal.
func TestCombiningCountsTheSame(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.Int64)
	counts := topology.GroupBy(in, "by-value", func(v int64) string { return fmt.Sprint(v) }, serde.String).Count("counts")
	counts.Stream().To("out")
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
	want, latest := map[string]int64{}, map[string]time.Time{}
	for i := range 150 {
		value := int64(r.IntN(6))
		at := start.Add(time.Duration(i+r.IntN(60)-40) * time.Millisecond)
		records.Send(fmt.Sprint(r.IntN(9)), value, at)
		key := fmt.Sprint(value)
		want[key]++
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
	got, at := map[string]int64{}, map[string]time.Time{}
	for _, r := range topologytest.Output(d, "out", serde.String, serde.Int64).Records() {
		got[r.Key], at[r.Key] = r.Value, r.Timestamp.Time()
	}
	if !maps.Equal(got, want) {
		t.Fatalf("seed %d: counts %v, want %v", seed, got, want)
	}
	for key, latest := range latest {
		if !at[key].Equal(latest) {
			t.Fatalf("seed %d: the count of %s has the timestamp %v, want that of its latest record, %v", seed, key, at[key], latest)
		}
	}
}
