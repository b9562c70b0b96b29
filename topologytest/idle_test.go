package topologytest_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// idleTopology sends the rows of a windowed table to the topic out.
func idleTopology(t *testing.T, repartition bool, windowed func(topology.Grouped[string, string]) topology.Table[serde.Windowed[string], int64]) *topology.Topology {
	t.Helper()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String).FilterNot(func(v string) bool { return v == "filtered" })
	grouped := topology.GroupByKey(in, "by-key")
	if repartition {
		grouped = topology.GroupBy(in, "by-value", func(v string) string { return v }, serde.String)
	}
	counts := windowed(grouped)
	topology.Map(counts.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
		text := fmt.Sprintf("%d-%d: %d", r.Key.Window.Start/1000, r.Key.Window.End/1000, r.Value)
		return processor.NewRecord(r.Key.Key, text, r.Timestamp)
	}, serde.String, serde.String).To("out")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

var minutes = topology.Tumbling(time.Minute).Grace(5 * time.Second)

// closings are the ways to send a row once.
var closings = map[string]func(topology.Grouped[string, string]) topology.Table[serde.Windowed[string], int64]{
	"final": func(g topology.Grouped[string, string]) topology.Table[serde.Windowed[string], int64] {
		return g.Window(minutes).Count("counts", topology.IdleAfter(30*time.Second)).Final().Table
	},
	"suppressed": func(g topology.Grouped[string, string]) topology.Table[serde.Windowed[string], int64] {
		return g.Window(minutes).Count("counts", topology.IdleAfter(30*time.Second)).Suppress("held", topology.UntilClosed())
	},
}

// expectOut compares all records of the topic out.
func expectOut(t *testing.T, d *topologytest.Driver, when string, want ...string) {
	t.Helper()
	var got []string
	for _, r := range topologytest.Output(d, "out", serde.String, serde.String).Records() {
		got = append(got, fmt.Sprintf("%s %s @%d", r.Key, r.Value, r.Timestamp/1000))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: out %q, want %q", when, got, want)
	}
}

// TestIdleInputClosesWindows: stream time goes on from the last record as fast as the
// clock, once the input has been idle for half a minute.
func TestIdleInputClosesWindows(t *testing.T) {
	t.Parallel()
	for name, windowed := range closings {
		for _, repartition := range []bool{false, true} {
			for _, every := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s repartitioned=%v every=%v", name, repartition, every), func(t *testing.T) {
					t.Parallel()
					var opts []topologytest.Option
					if every {
						opts = append(opts, topologytest.EveryUpdate())
					}
					d := topologytest.New(t, idleTopology(t, repartition, windowed), opts...)
					in := topologytest.Input(d, "in", serde.String, serde.String)
					send := func(second int64) { in.Send("a", "a", time.Unix(second, 0)) }
					send(50)
					send(59)
					d.Advance(29 * time.Second)
					expectOut(t, d, "after 29 s")
					d.Advance(time.Second)
					expectOut(t, d, "after 30 s", "a 0-60: 2 @59")

					// Stream time stays at the end of the last window with a row.
					d.Advance(time.Hour)
					send(64) // of the next window, which is open
					send(59) // too late
					if n := d.Dropped(); n != 1 {
						t.Errorf("dropped %d records, want 1: %v", n, d.DropReasons())
					}
					d.Advance(58 * time.Second)
					expectOut(t, d, "58 s after the next record", "a 0-60: 2 @59")
					// Stream time goes on from 65 s, and the window closes at 125 s.
					d.Advance(4 * time.Second)
					expectOut(t, d, "62 s after the next record", "a 0-60: 2 @59", "a 60-120: 1 @64")
				})
			}
		}
	}
}

// TestRecordEndsIdleTime: any record begins the idle time anew, also one that does not
// reach the aggregation.
func TestRecordEndsIdleTime(t *testing.T) {
	t.Parallel()
	d := topologytest.New(t, idleTopology(t, false, func(g topology.Grouped[string, string]) topology.Table[serde.Windowed[string], int64] {
		return closings["final"](g)
	}))
	in := topologytest.Input(d, "in", serde.String, serde.String)
	in.Send("a", "a", time.Unix(59, 0))
	d.Advance(29 * time.Second)
	in.Send("a", "filtered", time.Unix(59, 0))
	d.Advance(29 * time.Second)
	expectOut(t, d, "29 s after a record")
	d.Advance(time.Second)
	expectOut(t, d, "30 s after a record", "a 0-60: 1 @59")
}

// TestIdleStreamTimeSurvives: the rows of a closed window are not sent again, and late
// records stay late, whatever is lost.
func TestIdleStreamTimeSurvives(t *testing.T) {
	t.Parallel()
	for name, windowed := range closings {
		for what, lose := range map[string]func(*topologytest.Driver){
			"crash":     func(d *topologytest.Driver) { d.CrashAll() },
			"lost disk": func(d *topologytest.Driver) { d.CrashAll(topologytest.LoseDisk) },
			"stale":     func(d *topologytest.Driver) { d.CrashAll(topologytest.StaleDisk) },
			"restart":   func(d *topologytest.Driver) { d.Restart() },
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				d := topologytest.New(t, idleTopology(t, false, windowed), topologytest.OnDisk())
				in := topologytest.Input(d, "in", serde.String, serde.String)
				in.Send("a", "a", time.Unix(59, 0))
				d.Advance(29 * time.Second)
				lose(d) // the idle time begins again
				d.Advance(29 * time.Second)
				expectOut(t, d, "29 s after the start")
				d.Advance(time.Second)
				expectOut(t, d, "30 s after the start", "a 0-60: 1 @59")
				lose(d)
				in.Send("a", "a", time.Unix(59, 0))
				d.Advance(time.Hour)
				expectOut(t, d, "after a late record", "a 0-60: 1 @59")
				if n := d.Dropped(); n != 1 {
					t.Errorf("dropped %d records, want 1: %v", n, d.DropReasons())
				}
			})
		}
	}
}

// TestAllInputsMustBeIdle: one input with records keeps the windows of an aggregation
// open. An input that only feeds another operator of the task does not.
func TestAllInputsMustBeIdle(t *testing.T) {
	t.Parallel()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	merged := in.Merge(topology.Source(b, "merged", serde.String, serde.String))
	users := topology.SourceTable(b, "users", serde.String, serde.String)
	joined := topology.LeftJoin(merged, users, func(v, _ string, _ bool) string { return v }, serde.String)
	counts := topology.GroupByKey(joined, "by-key").Window(minutes).Count("counts", topology.IdleAfter(10*time.Second)).Final()
	topology.Map(counts.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
		return processor.NewRecord(r.Key.Key, fmt.Sprint(r.Value), r.Timestamp)
	}, serde.String, serde.String).To("out")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo)
	send := func(topic string) {
		topologytest.Input(d, topic, serde.String, serde.String).Send("a", "a", time.Unix(58, 0))
	}
	send("in")
	for range 5 {
		d.Advance(9 * time.Second)
		send("merged")
	}
	expectOut(t, d, "while one input has records")
	for range 5 {
		d.Advance(2 * time.Second)
		send("users")
	}
	expectOut(t, d, "while a table has records", "a 6 @58")
}

// TestIdleWindowsOfAllKinds: sliding windows, sessions and cogroups close too.
func TestIdleWindowsOfAllKinds(t *testing.T) {
	t.Parallel()
	after := topology.IdleAfter(time.Second)
	for name, c := range map[string]struct {
		windowed func(topology.Grouped[string, string]) topology.WindowedTable[string, int64]
		closes   time.Duration // after the record at 59 s
		want     string
	}{
		"hopping": {func(g topology.Grouped[string, string]) topology.WindowedTable[string, int64] {
			return g.Window(topology.Hopping(time.Minute, time.Minute)).Count("counts", after)
		}, time.Second, "a 0-60: 1 @59"},
		"sliding": {func(g topology.Grouped[string, string]) topology.WindowedTable[string, int64] {
			return g.Window(topology.Sliding(10*time.Second).Grace(5*time.Second)).Count("counts", after)
		}, 6 * time.Second, "a 49-59: 1 @59"},
		"sessions": {func(g topology.Grouped[string, string]) topology.WindowedTable[string, int64] {
			return g.Sessions(10*time.Second).Grace(5*time.Second).Count("counts", after)
		}, 16 * time.Second, "a 59-59: 1 @59"},
		"cogroup": {func(g topology.Grouped[string, string]) topology.WindowedTable[string, int64] {
			count := func(n int64, _ processor.Record[string, string]) int64 { return n + 1 }
			return topology.Cogroup(topology.Fold(g, count)).Window(minutes).Aggregate("counts", func() int64 { return 0 }, serde.Int64, after)
		}, 6 * time.Second, "a 0-60: 1 @59"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, final := range []bool{true, false} {
				d := topologytest.New(t, idleTopology(t, false, func(g topology.Grouped[string, string]) topology.Table[serde.Windowed[string], int64] {
					if final {
						return c.windowed(g).Final().Table
					}
					return c.windowed(g).Suppress("held", topology.UntilClosed())
				}))
				topologytest.Input(d, "in", serde.String, serde.String).Send("a", "a", time.Unix(59, 0))
				if c.closes > time.Second {
					d.Advance(c.closes - time.Second)
					expectOut(t, d, "before")
				}
				d.Advance(2 * time.Second)
				expectOut(t, d, "after", c.want)
			}
		})
	}
}
