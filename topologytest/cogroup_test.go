package topologytest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

const (
	cogroupSize  = slidingSize // ms
	cogroupGrace = 7
	// cogroupLag is how far an input may be behind: see topology.WindowedCogroup.
	cogroupLag = 60_000
)

// cogroupModel keeps the sum of each window. left and right are the stream times of the
// two inputs.
type cogroupModel struct {
	times [2]int64
	one   bool // the inputs share one stream time
	sums  map[string]int64
}

func newCogroupModel() *cogroupModel {
	return &cogroupModel{times: [2]int64{-1, -1}, sums: map[string]int64{}}
}

func (m *cogroupModel) add(input int, key string, at, value int64) {
	m.times[input] = max(m.times[input], at)
	late := max(m.times[input], max(m.times[0], m.times[1])-cogroupLag)
	if m.one {
		late = max(m.times[0], m.times[1])
	}
	if start := at / cogroupSize * cogroupSize; start+cogroupSize > late-cogroupGrace {
		m.sums[fmt.Sprint(key, " ", start)] += value
	}
}

func addLeft(sum int64, r processor.Record[string, int64]) int64 { return sum + r.Value }

func addRight(sum int64, r processor.Record[string, string]) int64 { return sum + int64(len(r.Value)) }

func noSum() int64 { return 0 }

func cogroupOf(b *topology.Builder) topology.Cogrouped[string, int64] {
	left := topology.GroupByKey(topology.Source(b, "left", serde.String, serde.Int64), "lefts")
	right := topology.GroupByKey(topology.Source(b, "right", serde.String, serde.String), "rights")
	return topology.Cogroup(topology.Fold(left, addLeft), topology.Fold(right, addRight))
}

// cogroupRun sends random records of two inputs, the second of which is behind by up to
// 50 ms, and sometimes by more than the lag. Commits come at any time, and crashes leave
// every kind of disk. If records may be late, a commit comes before each crash: records
// that are processed again come in the order of their timestamps, and fewer are late.
func cogroupRun(t *testing.T, topo *topology.Topology, every, late bool, seed uint64, add func(input int, key string, at, value int64)) *topologytest.Driver {
	t.Helper()
	opts := []topologytest.Option{topologytest.CommitInterval(20 * time.Millisecond), topologytest.Start(start)}
	if every {
		opts = append(opts, topologytest.EveryUpdate())
	}
	d := topologytest.New(t, topo, opts...)
	r := rand.New(rand.NewPCG(seed, 3))
	left := topologytest.Input(d, "left", serde.String, serde.Int64)
	right := topologytest.Input(d, "right", serde.String, serde.String)
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(seed)}
	keys, pace, behind, jump := 1+r.IntN(3), 1+r.IntN(6), r.IntN(50), 0
	for i := range 120 {
		key, value := fmt.Sprint(r.IntN(keys)), int64(1+r.IntN(9))
		if r.IntN(60) == 0 {
			jump += cogroupLag
		}
		at := jump + i*pace + r.IntN(60) - 40
		switch input := r.IntN(2); input {
		case 0:
			left.Send(key, value, start.Add(time.Duration(at)*time.Millisecond))
			add(input, key, start.UnixMilli()+int64(at), value)
		default:
			at -= behind
			if jump > 0 && r.IntN(4) == 0 {
				at -= jump
			}
			right.Send(key, "123456789"[:value], start.Add(time.Duration(at)*time.Millisecond))
			add(input, key, start.UnixMilli()+int64(at), value)
		}
		d.Advance(time.Duration(r.IntN(9)) * time.Millisecond)
		if r.IntN(25) == 0 {
			if late {
				d.Commit()
			}
			d.CrashAll(disks[r.IntN(len(disks))])
		}
	}
	d.Commit()
	return d
}

// TestCogroupEqualsModel compares cogroups with naive models, over commit intervals,
// EveryUpdate and crashes.
func TestCogroupEqualsModel(t *testing.T) {
	t.Parallel()
	tumbling := topology.Tumbling(cogroupSize * time.Millisecond).Grace(cogroupGrace * time.Millisecond)
	for name, opts := range map[string][]topology.WindowedTableOption{"on disk": nil, "in memory": {topology.InMemory()}} {
		b := topology.New()
		sums := cogroupOf(b).Window(tumbling).Aggregate("sums", noSum, serde.Int64, opts...)
		sums.Stream().To("out")
		topo := build(t, b)
		for _, every := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/every update %t", name, every), func(t *testing.T) {
				t.Parallel()
				seedtest.Run(t, 15, func(t *testing.T, seed uint64) {
					model := newCogroupModel()
					d := cogroupRun(t, topo, every, true, seed, model.add)
					if got := windowSums(d); !maps.Equal(got, model.sums) {
						t.Fatalf("seed %d: got\n %v, want\n %v", seed, got, model.sums)
					}
				})
			})
		}
	}
}

// windowSums returns the last value of each row.
func windowSums(d *topologytest.Driver) map[string]int64 {
	got := map[string]int64{}
	for _, r := range topologytest.Output(d, "out", serde.TimeWindowed(serde.String, cogroupSize*time.Millisecond), serde.Int64).Records() {
		got[fmt.Sprint(r.Key.Key, " ", r.Key.Window.Start)] = r.Value
	}
	return got
}

// TestCogroupWithoutWindowsEqualsModel is TestCogroupEqualsModel for all time.
func TestCogroupWithoutWindowsEqualsModel(t *testing.T) {
	t.Parallel()
	b := topology.New()
	cogroupOf(b).Aggregate("sums", noSum, serde.Int64).Stream().To("out")
	topo := build(t, b)
	for _, every := range []bool{false, true} {
		seedtest.Run(t, 10, func(t *testing.T, seed uint64) {
			want := map[string]int64{}
			d := cogroupRun(t, topo, every, false, seed, func(_ int, key string, _, value int64) { want[key] += value })
			got := map[string]int64{}
			for _, r := range topologytest.Output(d, "out", serde.String, serde.Int64).Records() {
				got[r.Key] = r.Value
			}
			if !maps.Equal(got, want) {
				t.Fatalf("seed %d, every update %t: got %v, want %v", seed, every, got, want)
			}
		})
	}
}

// TestCogroupSendsAWindowOnce: behind Final and behind Suppress, the inputs share one
// stream time, and each window has one result.
func TestCogroupSendsAWindowOnce(t *testing.T) {
	t.Parallel()
	tumbling := topology.Tumbling(cogroupSize * time.Millisecond).Grace(cogroupGrace * time.Millisecond)
	for name, once := range map[string]func(topology.WindowedTable[string, int64]) topology.Table[serde.Windowed[string], int64]{
		"final": func(w topology.WindowedTable[string, int64]) topology.Table[serde.Windowed[string], int64] {
			return w.Final().Table
		},
		"suppress": func(w topology.WindowedTable[string, int64]) topology.Table[serde.Windowed[string], int64] {
			return w.Filter(func(int64) bool { return true }).Suppress("once", topology.UntilClosed())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := topology.New()
			once(cogroupOf(b).Window(tumbling).Aggregate("sums", noSum, serde.Int64)).Stream().To("out")
			topo := build(t, b)
			for _, every := range []bool{false, true} {
				seedtest.Run(t, 10, func(t *testing.T, seed uint64) {
					model := newCogroupModel()
					model.one = true
					d := cogroupRun(t, topo, every, true, seed, model.add)
					var windows []string
					for _, r := range topologytest.Output(d, "out", serde.TimeWindowed(serde.String, cogroupSize*time.Millisecond), serde.Int64).Records() {
						windows = append(windows, fmt.Sprint(r.Key.Key, " ", r.Key.Window.Start))
					}
					slices.Sort(windows)
					if len(windows) == 0 || len(slices.Compact(slices.Clone(windows))) != len(windows) {
						t.Fatalf("seed %d, every update %t: windows %v, want each once", seed, every, windows)
					}
					for window, sum := range windowSums(d) {
						if sum != model.sums[window] {
							t.Fatalf("seed %d, every update %t: %s has the sum %d, want %d", seed, every, window, sum, model.sums[window])
						}
					}
				})
			}
		})
	}
}

// TestCogroupOfSessionsEqualsModel is TestCogroupEqualsModel for sessions.
func TestCogroupOfSessionsEqualsModel(t *testing.T) {
	t.Parallel()
	b := topology.New()
	cut := cogroupOf(b).Sessions(sessionGap * time.Millisecond).Grace(sessionGrace * time.Millisecond)
	cut.Aggregate("sums", noSum, sumOfTwo, serde.Int64).Stream().To("out")
	topo := build(t, b)
	for _, every := range []bool{false, true} {
		seedtest.Run(t, 15, func(t *testing.T, seed uint64) {
			model := &sessionModel{sessions: map[string][][]sessionRecord{}}
			times := [2]int64{-1, -1}
			d := cogroupRun(t, topo, every, true, seed, func(input int, key string, at, value int64) {
				times[input] = max(times[input], at)
				newest := max(times[0], times[1])
				model.addAt(max(times[input], newest-cogroupLag), newest-sessionRetention-cogroupLag, key, at, value)
			})
			got := map[string]int64{}
			for _, r := range topologytest.Output(d, "out", serde.SessionWindowed(serde.String), serde.Int64).Records() {
				if got[sessionName(r.Key)] = r.Value; r.NoValue {
					delete(got, sessionName(r.Key))
				}
			}
			if want := model.sums(); !maps.Equal(got, want) {
				t.Fatalf("seed %d, every update %t: sessions\n %v, want\n %v", seed, every, got, want)
			}
		})
	}
}

// TestCogroupOfSlidingWindowsEqualsModel is TestCogroupEqualsModel for sliding windows
// without late records.
func TestCogroupOfSlidingWindowsEqualsModel(t *testing.T) {
	t.Parallel()
	b := topology.New()
	cogroupOf(b).Window(topology.Sliding(slidingSize*time.Millisecond).Grace(time.Hour)).
		Aggregate("sums", noSum, serde.Int64).Stream().To("out")
	topo := build(t, b)
	for _, every := range []bool{false, true} {
		seedtest.Run(t, 10, func(t *testing.T, seed uint64) {
			records := map[string][]sessionRecord{}
			d := cogroupRun(t, topo, every, false, seed, func(_ int, key string, at, value int64) {
				records[key] = append(records[key], sessionRecord{at, value})
			})
			if got, want := windowSums(d), slidingSums(records); !maps.Equal(got, want) {
				t.Fatalf("seed %d, every update %t: windows\n %v, want\n %v", seed, every, got, want)
			}
		})
	}
}
