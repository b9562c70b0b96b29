package millrace_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

const minutesChangelog = "app-minutes-changelog"

// minutes counts the records of "in" by key and minute, with ten minutes of grace.
func minutes(t testing.TB) *topology.Topology {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	counts := topology.GroupByKey(in, "by-key").Window(topology.Tumbling(time.Minute).Grace(10*time.Minute)).Count("minutes", topology.EveryUpdate())
	topology.Map(counts.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
		return processor.NewRecord(r.Key.Key, fmt.Sprintf("%d:%d", r.Key.Window.Start/60_000, r.Value), r.Timestamp)
	}, serde.String, serde.String).To("out")
	return build(t, b)
}

// newMinutes starts a cluster whose input and output keep records of any time.
func newMinutes(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t)
	for _, topic := range []string{"in", "out"} {
		if err := c.CreateTopic(topic, 1, map[string]string{"retention.ms": "-1"}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// at produces a record of a key in a minute after 1970.
func (c *cluster) at(key string, minute int64) {
	c.t.Helper()
	record := &kgo.Record{Topic: "in", Key: []byte(key), Timestamp: time.UnixMilli(minute * 60_000)}
	if err := c.cl.ProduceSync(context.Background(), record).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// expect checks the whole output.
func (c *cluster) expect(want ...string) {
	c.t.Helper()
	if got := c.read("out", len(want)); !slices.Equal(got, want) {
		c.t.Errorf("got %q, want %q", got, want)
	}
}

// A window that is open in stream time is restored, however old its records are by the
// wall clock.
func TestOldEventTimesOutliveALostDisk(t *testing.T) {
	t.Parallel()
	c := newMinutes(t)
	topo := minutes(t)
	want := []string{"a=1:1", "b=1:1", "a=1:2", "a=1:3"}
	app := run(t, topo, c.config("app", t.TempDir()))
	for _, key := range []string{"a", "b", "a", "a"} {
		c.at(key, 1)
	}
	c.expect(want...)
	app.stop()
	c.ApplyRetention()
	app = run(t, topo, c.config("app", t.TempDir()))
	c.at("a", 1)
	c.expect(append(want, "a=1:4")...)
	app.stop()
}

// The changelog is trimmed up to the first window that the store still has. A process
// with an empty or an old disk continues where the last process has stopped.
func TestChangelogIsTrimmed(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			c := newMinutes(t)
			topo := minutes(t)
			var want []string
			count := func(key string, minute int64, n int) {
				t.Helper()
				c.at(key, minute)
				want = append(want, fmt.Sprintf("%s=%d:%d", key, minute, n))
				c.expect(want...)
			}
			start := func(cfg millrace.Config) *running {
				cfg.Guarantee = guarantee
				return runWith(t, topo, cfg, func(a *millrace.App) { millrace.SetPurgeEvery(a, 5*time.Millisecond) })
			}
			old, wiped := c.config("app", t.TempDir()), &wipes{}
			old.Hooks = []millrace.Hook{wiped}
			app := start(old)
			count("a", 1, 1)
			count("b", 1, 1)
			app.stop()

			app = start(c.config("app", t.TempDir()))
			count("a", 1, 2)
			begin := c.PartitionInfo(minutesChangelog, 0)
			if begin.LogStartOffset != 0 {
				t.Errorf("the changelog begins at %d while its first window is open", begin.LogStartOffset)
			}
			count("a", 29, 1)
			count("a", 30, 1)
			eventually(t, "the first windows are trimmed", func() bool {
				// The last transaction's marker stays.
				return c.PartitionInfo(minutesChangelog, 0).LogStartOffset >= begin.HighWatermark-1
			})
			count("b", 30, 1)
			app.stop()

			for i, cfg := range []millrace.Config{c.config("app", t.TempDir()), old} {
				app = start(cfg)
				count("a", 29, i+2)
				count("b", 30, i+2)
				app.stop()
			}
			if wiped.n.Load() != 0 {
				t.Error("that rows have expired was taken for a loss")
			}
		})
	}
}
