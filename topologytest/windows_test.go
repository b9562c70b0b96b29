package topologytest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// The windows and the stream time of a windowed operator come back after every kind of
// crash. The results equal those of a run without crashes.
func TestCrashesChangeNoWindow(t *testing.T) {
	t.Parallel()
	const partitions = 2
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	windows := topology.Hopping(10*time.Millisecond, 5*time.Millisecond).Grace(6 * time.Millisecond)
	topology.GroupByKey(in, "by-key").Window(windows).Count("counts").Stream().To("out")
	topo := build(t, b)

	run := func(t *testing.T, seed uint64, crash func(d *topologytest.Driver, i int)) map[string][]int64 {
		d := topologytest.New(t, topo, topologytest.Partitions("in", partitions), topologytest.Partitions("out", partitions),
			topologytest.Start(start), topologytest.EveryUpdate(), topologytest.CommitInterval(10*time.Millisecond))
		r := rand.New(rand.NewPCG(seed, 0))
		records := topologytest.Input(d, "in", serde.String, serde.String)
		for i := range 80 {
			records.Send(fmt.Sprint(r.IntN(4)), "v", start.Add(time.Duration(i+r.IntN(25)-12)*time.Millisecond))
			d.Advance(time.Duration(r.IntN(7)) * time.Millisecond)
			crash(d, i)
		}
		d.Commit()
		results := map[string][]int64{}
		for _, r := range topologytest.Output(d, "out", serde.TimeWindowed(serde.String, 10*time.Millisecond), serde.Int64).Records() {
			window := fmt.Sprintf("%s@%d", r.Key.Key, r.Key.Start-start.UnixMilli())
			results[window] = append(results[window], r.Value)
		}
		return results
	}
	seedtest.Run(t, 5, func(t *testing.T, seed uint64) {
		wanted := run(t, seed, func(*topologytest.Driver, int) {})
		r := rand.New(rand.NewPCG(seed, 1))
		got := run(t, seed, func(d *topologytest.Driver, i int) {
			disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(uint64(i))}
			switch disk := disks[r.IntN(len(disks))]; r.IntN(8) {
			case 0:
				d.Crash("counts", int32(r.IntN(partitions)), disk)
			case 1:
				d.CrashAll(disk)
			case 2:
				d.Restart()
			}
		})
		if len(wanted) < 20 {
			t.Fatalf("only %d windows", len(wanted))
		}
		if !maps.EqualFunc(got, wanted, slices.Equal) {
			t.Fatalf("with crashes:    %v\nwithout crashes: %v", got, wanted)
		}
	})
}
