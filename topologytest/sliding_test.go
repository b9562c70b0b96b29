package topologytest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

const slidingSize = 20 // ms

// slidingSums returns the sum of each sliding window by its definition: a window ends at
// each record, or starts just after one.
func slidingSums(records map[string][]sessionRecord) map[string]int64 {
	out := map[string]int64{}
	for key, all := range records {
		for _, r := range all {
			for _, start := range []int64{max(0, r.at-slidingSize), r.at + 1} {
				sum, n := int64(0), 0
				for _, other := range all {
					if other.at >= start && other.at <= start+slidingSize {
						sum, n = sum+other.value, n+1
					}
				}
				if n > 0 {
					out[fmt.Sprintf("%s %d", key, start)] = sum
				}
			}
		}
	}
	return out
}

// TestSlidingWindowsAreThoseOfTheModel compares sliding windows with their definition, on
// records in any order, with commits at any time, and after crashes with every kind of
// disk. It begins in 1970, where the first windows are cut off.
func TestSlidingWindowsAreThoseOfTheModel(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]topology.WindowedTableOption{
		"merged": nil, "every update": {topology.EveryUpdate()}, "in memory": {topology.InMemory()},
	} {
		b := topology.New()
		windows := topology.Sliding(slidingSize * time.Millisecond).Grace(time.Minute)
		in := topology.Source(b, "in", serde.String, serde.Int64)
		topology.GroupByKey(in, "by-key").Window(windows).Reduce("sums", sumOfTwo, opts...).Stream().To("out")
		topo := build(t, b)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seedtest.Run(t, 20, func(t *testing.T, seed uint64) {
				runSliding(t, topo, seed)
			})
		})
	}
}

func runSliding(t *testing.T, topo *topology.Topology, seed uint64) {
	t.Helper()
	d := topologytest.New(t, topo, topologytest.CommitInterval(20*time.Millisecond), topologytest.Start(time.UnixMilli(0)))
	r := rand.New(rand.NewPCG(seed, 0))
	input := topologytest.Input(d, "in", serde.String, serde.Int64)
	records := map[string][]sessionRecord{}
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(seed)}
	keys, pace := 1+r.IntN(3), 1+r.IntN(9)
	for i := range 100 {
		key, value := fmt.Sprint(r.IntN(keys)), int64(1+r.IntN(9))
		at := int64(max(0, i*pace+r.IntN(60)-40))
		input.Send(key, value, time.UnixMilli(at))
		records[key] = append(records[key], sessionRecord{at, value})
		d.Advance(time.Duration(r.IntN(9)) * time.Millisecond)
		if r.IntN(25) == 0 {
			d.CrashAll(disks[r.IntN(len(disks))])
		}
	}
	d.Commit()
	got := map[string]int64{}
	for _, r := range topologytest.Output(d, "out", serde.TimeWindowed(serde.String, slidingSize*time.Millisecond), serde.Int64).Records() {
		got[fmt.Sprintf("%s %d", r.Key.Key, r.Key.Window.Start)] = r.Value
	}
	if want := slidingSums(records); !maps.Equal(got, want) {
		t.Fatalf("seed %d: windows\n %v, want\n %v", seed, got, want)
	}
}

// absentZeros has sums of sliding windows. A window whose sum is zero has no row.
func absentZeros(t *testing.T) *topology.Topology {
	t.Helper()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.Int64)
	windows := topology.GroupByKey(in, "by-key").Window(topology.Sliding(slidingSize * time.Millisecond).Grace(time.Minute))
	topology.AggregateWindows(windows, "sums", func() *int64 { return new(int64) }, func(last *int64, r processor.Record[string, int64]) *int64 {
		if sum := *last + r.Value; sum != 0 {
			return &sum
		}
		return nil
	}, serde.Nullable(serde.Int64)).Stream().To("out")
	return build(t, b)
}

// presentSums returns the sums that out shows at its end, by the start of their windows.
func presentSums(d *topologytest.Driver) map[int64]int64 {
	sums := map[int64]int64{}
	for _, r := range topologytest.Output(d, "out", serde.TimeWindowed(serde.String, slidingSize*time.Millisecond), serde.Nullable(serde.Int64)).Records() {
		if delete(sums, r.Key.Window.Start); r.Value != nil {
			sums[r.Key.Window.Start] = *r.Value
		}
	}
	return sums
}

// TestAbsentSumOfSlidingWindow adds a record that deletes the row of one of its windows.
func TestAbsentSumOfSlidingWindow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		records []sessionRecord
		want    map[int64]int64
	}{
		// The window that starts at 2 has the records 2, 3 and -5. The last record
		// belongs to the windows after it, too.
		"later windows": {[]sessionRecord{{1, 1}, {2, 2}, {3, 3}, {4, -5}}, map[int64]int64{0: 1, 3: -2, 4: -5}},
		// The first record at 40 deletes its left window, which the second one makes
		// again. No record lies behind the two.
		"a record at the same time": {[]sessionRecord{{30, 5}, {40, -5}, {40, 7}}, map[int64]int64{10: 5, 20: 12, 31: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := topologytest.New(t, absentZeros(t), topologytest.Start(time.UnixMilli(0)))
			input := topologytest.Input(d, "in", serde.String, serde.Int64)
			for _, r := range c.records {
				input.Send("k", r.value, time.UnixMilli(r.at))
			}
			d.Commit()
			if got := presentSums(d); !maps.Equal(got, c.want) {
				t.Errorf("the sums are %v, want %v", got, c.want)
			}
		})
	}
}

// TestAbsentSumsAfterCrashes: windows whose row was deleted are gone, whether or not the
// operator has read the rows since.
func TestAbsentSumsAfterCrashes(t *testing.T) {
	t.Parallel()
	topo := absentZeros(t)
	run := func(t *testing.T, seed uint64, crashes bool) map[int64]int64 {
		d := topologytest.New(t, topo, topologytest.Start(time.UnixMilli(0)))
		input, r := topologytest.Input(d, "in", serde.String, serde.Int64), rand.New(rand.NewPCG(seed, 0))
		for i := range 80 {
			input.Send("k", r.Int64N(5)-2, time.UnixMilli(int64(max(0, i+r.IntN(40)-20))))
			if crashes {
				d.Crash("sums", 0)
			}
		}
		return presentSums(d)
	}
	seedtest.Run(t, 3, func(t *testing.T, seed uint64) {
		if got, want := run(t, seed, true), run(t, seed, false); !maps.Equal(got, want) {
			t.Errorf("with crashes\n %v, without\n %v", got, want)
		}
	})
}
