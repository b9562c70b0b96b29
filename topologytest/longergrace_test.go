package topologytest_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

const (
	shortGrace = 5 * time.Second
	longGrace  = time.Hour
	graceSize  = 10 * time.Second // of windows, gaps and joins
)

// countsWithGrace counts the records of "in", by key, with a grace.
var countsWithGrace = map[string]func(by topology.Grouped[string, string], grace time.Duration) topology.WindowedTable[string, int64]{
	"tumbling": func(by topology.Grouped[string, string], grace time.Duration) topology.WindowedTable[string, int64] {
		return by.Window(topology.Tumbling(graceSize).Grace(grace)).Count("counts", topology.EveryUpdate())
	},
	"hopping": func(by topology.Grouped[string, string], grace time.Duration) topology.WindowedTable[string, int64] {
		return by.Window(topology.Hopping(graceSize, 2*time.Second).Grace(grace)).Count("counts", topology.EveryUpdate())
	},
	"sliding": func(by topology.Grouped[string, string], grace time.Duration) topology.WindowedTable[string, int64] {
		return by.Window(topology.Sliding(graceSize).Grace(grace)).Count("counts", topology.EveryUpdate())
	},
	"sessions": func(by topology.Grouped[string, string], grace time.Duration) topology.WindowedTable[string, int64] {
		return by.Sessions(graceSize).Grace(grace).Count("counts", topology.EveryUpdate())
	},
}

func countsVersion(t *testing.T, kind string, grace time.Duration) *topology.Topology {
	b := topology.New()
	counts := countsWithGrace[kind](topology.GroupByKey(topology.Source(b, "in", serde.String, serde.String), "by-key"), grace)
	topology.Map(counts.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
		return processor.NewRecord(r.Key.Key, fmt.Sprintf("%d %d %d", r.Key.Window.Start, r.Key.Window.End, r.Value), r.Timestamp)
	}, serde.String, serde.String).To("out")
	return build(t, b)
}

// graceRun sends records to a version with a short grace, in order, and then to one with
// a long grace, also late ones.
type graceRun struct {
	d   *topologytest.Driver
	r   *rand.Rand
	now int64
}

// next returns the time of the next record. late says whether it may be a late one.
func (g *graceRun) next(late bool) processor.Timestamp {
	g.now += int64(g.r.IntN(4000))
	if g.r.IntN(15) == 0 {
		g.now += int64(g.r.IntN(200_000))
	}
	if late && g.r.IntN(2) == 0 {
		return processor.Timestamp(max(0, g.now-int64(g.r.IntN(300_000))))
	}
	return processor.Timestamp(g.now)
}

// restart continues with a version, on a disk of any kind.
func (g *graceRun) restart(version *topology.Topology) {
	g.d.RestartWith(version)
	g.crash()
}

func (g *graceRun) crash() {
	switch g.r.IntN(4) {
	case 0:
		g.d.CrashAll(topologytest.KeepDisk)
	case 1:
		g.d.CrashAll(topologytest.LoseDisk)
	case 2:
		g.d.CrashAll(topologytest.StaleDisk)
	}
}

// In a version of the program with a longer grace, a late record that belongs into a
// window whose rows are gone is dropped. No window begins to count again: each update is
// that of a program which has had the longer grace from the beginning.
func TestLongerGraceOfWindows(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 60, func(t *testing.T, seed uint64) {
		for kind := range countsWithGrace {
			r := rand.New(rand.NewPCG(seed, 31))
			g := &graceRun{r: r, d: topologytest.New(t, countsVersion(t, kind, shortGrace), topologytest.CommitInterval(time.Hour))}
			always := topologytest.New(t, countsVersion(t, kind, longGrace), topologytest.CommitInterval(time.Hour))
			var missing []int64
			send := func(late bool) {
				at, dropped := g.next(late), g.d.DropReasons()["late record"]
				g.d.Send("in", 0, []byte("k"), []byte("v"), at)
				// Open sessions and sliding windows may lack a late record.
				if late = g.d.DropReasons()["late record"] > dropped; late && kind == "sliding" {
					missing = append(missing, int64(at))
				}
				if !late || kind != "sessions" {
					always.Send("in", 0, []byte("k"), []byte("v"), at)
				}
			}
			shown, want := 0, map[string]string{}
			check := func() {
				t.Helper()
				g.d.Commit()
				before := len(always.Topic("out"))
				always.Commit()
				for _, out := range always.Topic("out")[before:] {
					window, n := windowAndCount(out)
					want[window] = n
				}
				got := map[string]string{}
				for _, out := range g.d.Topic("out")[shown:] {
					shown++
					window, n := windowAndCount(out)
					got[window] = n
				}
				for window, n := range got {
					var start, end int64
					fmt.Sscan(window, &start, &end)
					lacks := func(at int64) bool { return start <= at && at <= end }
					if n != want[window] && !slices.ContainsFunc(missing, lacks) {
						t.Fatalf("seed %d, %s: the window %s has %s records, want %s", seed, kind, window, n, want[window])
					}
				}
			}
			for range 40 {
				send(false)
				if r.IntN(3) == 0 {
					check()
				}
			}
			check()
			g.restart(countsVersion(t, kind, longGrace))
			for range 60 {
				send(true)
				check()
				if r.IntN(20) == 0 {
					g.crash()
				}
			}
		}
	})
}

// windowAndCount returns the two parts of a result.
func windowAndCount(out topologytest.Record) (window, n string) {
	text := string(out.Value)
	last := strings.LastIndexByte(text, ' ')
	return text[:last], text[last+1:]
}

// A window whose rows are still there takes late records by the longer grace at once.
func TestLongerGraceReopensWindows(t *testing.T) {
	t.Parallel()
	for kind, last := range map[string]string{"tumbling": "0 10000 3", "hopping": "2000 12000 2", "sliding": "0 10000 3", "sessions": "1000 3000 3"} {
		for _, disk := range []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk} {
			d := topologytest.New(t, countsVersion(t, kind, shortGrace))
			send := func(at int64) { d.Send("in", 0, []byte("k"), []byte("v"), processor.Timestamp(at)) }
			send(1000)
			send(2000)
			send(50_000)
			d.RestartWith(countsVersion(t, kind, longGrace))
			d.CrashAll(disk)
			send(3000)
			all := d.Topic("out")
			if got := string(all[len(all)-1].Value); got != last {
				t.Errorf("%s: got %q, want %q", kind, got, last)
			}
		}
	}
}

// With a longer grace, a late record may lie between an open session and one that was
// deleted. The deleted session stays as it was, even if the changelog still has it.
func TestLongerGraceAbsorbsNoDeletedSession(t *testing.T) {
	t.Parallel()
	for name, disk := range map[string]topologytest.Disk{"kept": topologytest.KeepDisk, "lost": topologytest.LoseDisk} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := topologytest.New(t, countsVersion(t, "sessions", shortGrace))
			send := func(at int64) { d.Send("in", 0, []byte("k"), []byte("v"), processor.Timestamp(at)) }
			send(30_000) // expires before the last record
			for at := int64(45_000); at <= 180_000; at += 9000 {
				send(at)
			}
			d.RestartWith(countsVersion(t, "sessions", longGrace))
			d.CrashAll(disk)
			send(38_000)
			all := d.Topic("out")
			if got, want := string(all[len(all)-1].Value), "38000 180000 17"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// alone stands for the missing record in a result without a partner.
const alone = "alone"

// pairsWithGrace joins the records of two streams.
var pairsWithGrace = map[string]func(left, right topology.Stream[string, string], within topology.JoinWindows) topology.Stream[string, string]{
	"inner": func(left, right topology.Stream[string, string], within topology.JoinWindows) topology.Stream[string, string] {
		return topology.JoinWindow(left, right, "pairs", within, func(l, r string) string { return l + " " + r }, serde.String)
	},
	"outer": func(left, right topology.Stream[string, string], within topology.JoinWindows) topology.Stream[string, string] {
		or := func(v string, ok bool) string {
			if !ok {
				return alone
			}
			return v
		}
		return topology.OuterJoinWindow(left, right, "pairs", within, func(l string, lok bool, r string, rok bool) string {
			return or(l, lok) + " " + or(r, rok)
		}, serde.String)
	},
}

func pairsVersion(t *testing.T, kind string, grace time.Duration) *topology.Topology {
	b := topology.New()
	left, right := topology.Source(b, "left", serde.String, serde.String), topology.Source(b, "right", serde.String, serde.String)
	pairsWithGrace[kind](left, right, topology.Within(graceSize).Grace(grace)).To("out")
	return build(t, b)
}

// A join with a longer grace finds, for late records, exactly the records that had not
// expired before, on each kind of disk. No result comes twice. In an outer join, a record
// that was too late for the short grace has its result at once.
func TestLongerGraceOfWindowJoin(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 100, func(t *testing.T, seed uint64) {
		for kind := range pairsWithGrace {
			want, got := pairsOverGraces(t, seed, kind)
			for pair, n := range got {
				if n > 1 {
					t.Fatalf("seed %d, %s: the result %s came %d times", seed, kind, pair, n)
				}
				if !want[pair] && !strings.Contains(pair, alone) {
					t.Fatalf("seed %d, %s: the pair %s came, although one of its records had expired", seed, kind, pair)
				}
			}
			for pair := range want {
				if got[pair] == 0 {
					t.Fatalf("seed %d, %s: the result %s is missing", seed, kind, pair)
				}
			}
		}
	})
}

// pairsOverGraces sends records to a join with a short grace, and then to one with a long
// grace. It returns the results that there must be, and how often each has come.
func pairsOverGraces(t *testing.T, seed uint64, kind string) (want map[string]bool, got map[string]int) {
	r := rand.New(rand.NewPCG(seed, 32))
	g := &graceRun{r: r, d: topologytest.New(t, pairsVersion(t, kind, shortGrace), topologytest.CommitInterval(time.Hour))}
	type sent struct {
		at      int64
		expired bool // by the short grace
	}
	want, got = map[string]bool{}, map[string]int{}
	all := map[string][]sent{}
	times := map[string]int64{"left": -1, "right": -1}
	gone := map[string]int64{"left": math.MinInt64, "right": math.MinInt64}
	send := func(at processor.Timestamp) {
		side, other := "left", "right"
		if r.IntN(2) == 0 {
			side, other = other, side
		}
		n := len(all[side])
		result := func(partner any) string {
			if side == "right" {
				return fmt.Sprint(partner, " ", n)
			}
			return fmt.Sprint(n, " ", partner)
		}
		late, paired := int64(at) <= gone[side], false
		for i, o := range all[other] {
			if far := int64(at) - o.at; !o.expired && max(far, -far) <= graceSize.Milliseconds() {
				want[result(i)], paired = true, true
			}
		}
		if kind == "outer" && late && !paired {
			want[result(alone)] = true
		}
		g.d.Send(side, 0, []byte("k"), fmt.Append(nil, n), at)
		all[side] = append(all[side], sent{int64(at), late})
		times[side] = max(times[side], int64(at))
		if r.IntN(3) == 0 {
			g.d.Commit()
		}
	}
	for range 40 {
		send(g.next(false))
	}
	g.d.Commit()
	for side := range all {
		gone[side] = times[side] - (2*graceSize + shortGrace).Milliseconds()
		for i := range all[side] {
			all[side][i].expired = all[side][i].at <= gone[side]
		}
	}
	g.restart(pairsVersion(t, kind, longGrace))
	for range 60 {
		send(g.next(true))
		if r.IntN(20) == 0 {
			g.d.Commit()
			g.crash()
		}
	}
	g.d.Commit()
	for _, out := range g.d.Topic("out") {
		got[string(out.Value)]++
	}
	return want, got
}
