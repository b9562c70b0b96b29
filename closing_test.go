package millrace_test

import (
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// closedCounts counts the records of each key in ten seconds. The value of a record is
// its time in seconds. The same counts go out as a Final table, and through a Suppress.
func closedCounts(t *testing.T) *topology.Topology {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String, topology.TimestampFrom(
		func(r processor.Record[string, string], _ processor.Timestamp) (processor.Timestamp, error) {
			seconds, err := strconv.ParseInt(r.Value, 10, 64)
			return processor.Timestamp(1000 * seconds), err
		}))
	by := topology.GroupByKey(in, "by-key").Window(topology.Tumbling(10 * time.Second).Grace(5 * time.Second))
	text := func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
		return processor.WithKey(processor.WithValue(r, fmt.Sprintf("%d-%d", r.Key.Window.Start/1000, r.Value)), r.Key.Key)
	}
	topology.Map(by.Count("final").Final().Stream(), text, serde.String, serde.String).To("final")
	last := by.Count("counts").Suppress("last", topology.UntilClosed())
	topology.Map(last.Stream(), text, serde.String, serde.String).To("last")
	return build(t, b)
}

// fullBuffers counts the rows that were passed on early.
type fullBuffers struct{ rows atomic.Int64 }

func (f *fullBuffers) OnBufferFull(b millrace.BufferFull) {
	if b.Node == "calm" {
		f.rows.Add(b.Rows)
	}
}

// If a buffer is full, a hook is told how many rows are passed on early.
func TestFullBufferIsReported(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	b := topology.New()
	until := topology.UntilTimeLimit(time.Hour).MaxRecords(1)
	topology.SourceTable(b, "in", serde.String, serde.String).Suppress("calm", until).Stream().To("out")
	var full fullBuffers
	cfg := c.config("app", t.TempDir())
	cfg.Hooks = append(cfg.Hooks, &full)
	app := run(t, build(t, b), cfg)
	c.send("in", "a=1", "b=2", "c=3")
	if got := c.read("out", 2); !slices.Equal(got, []string{"a=1", "b=2"}) {
		t.Errorf("got %v", got)
	}
	eventually(t, "the hook has been told", func() bool { return full.rows.Load() == 2 })
	app.stop()
}

// Windows that were open before a restart are closed after it, with the disk and without
// it, and each has its result once.
func TestWindowsAreClosedAfterARestart(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(1, "in", "final", "last"))
			cfg := c.config("app", t.TempDir())
			cfg.Guarantee = guarantee
			var want []string
			expect := func(results ...string) {
				t.Helper()
				want = append(want, results...)
				for _, topic := range []string{"final", "last"} {
					if got := c.read(topic, len(want)); !slices.Equal(got, want) {
						t.Fatalf("topic %s: got %v, want %v", topic, got, want)
					}
				}
			}
			app := run(t, closedCounts(t), cfg)
			// 15 closes the first window.
			c.send("in", "a=1", "b=2", "a=12", "a=3", "b=15")
			expect("a=0-2", "b=0-1")
			app.stop()

			app = run(t, closedCounts(t), cfg)
			// 4 is late, 25 closes the second window.
			c.send("in", "a=4", "b=19", "c=21", "a=25")
			expect("a=10-1", "b=10-2")
			app.stop()

			cfg.StateDir = t.TempDir()
			app = run(t, closedCounts(t), cfg)
			c.send("in", "c=22", "c=100", "d=9") // 9 is late
			expect("a=20-1", "c=20-2")
			app.stop()
			expect()
		})
	}
}
