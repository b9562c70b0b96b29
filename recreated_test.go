package millrace_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// An application without stores has an input that is created again while it processes
// records of the former topic. Their commit leaves an offset of the former topic behind.
// The next start processes all records of the new topic.
func TestStatelessInputIsRecreatedWhileRunning(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		cfg := c.lossConfig(t.TempDir(), g)
		cfg.CommitInterval = 10 * time.Second
		goOn := make(chan struct{})
		b := topology.New()
		in := topology.Source(b, "in", serde.String, serde.String)
		topology.MapValues(in, func(v string) string {
			if v == "wait" {
				<-goOn
			}
			return v
		}, serde.String).To("out")
		topo := build(t, b)
		app := run(t, topo, cfg)
		c.send("in", values(0, 10)...)
		c.read("out", 10)
		c.send("in", "a=1", "a=2", "a=wait", "a=4")
		<-time.After(time.Second)
		c.recreate("in", 1)
		c.send("in", values(100, 40)...)
		<-time.After(time.Second)
		close(goOn)
		if err := app.wait(); err == nil || !strings.Contains(err.Error(), "topic in was deleted and created again while the application runs: restart the application") {
			t.Errorf("Run returned %v", err)
		}

		var log bytes.Buffer
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		app = run(t, topo, cfg)
		eventually(t, "all is processed", func() bool { return c.committed("app", "in", 0) == 40 })
		app.stop()
		var got []string
		for _, r := range c.records("out") {
			if s := string(r.Key) + "=" + string(r.Value); slices.Contains(values(100, 40), s) {
				got = append(got, s)
			}
		}
		if !slices.Equal(got, values(100, 40)) {
			t.Errorf("of the new topic, got %v", got)
		}
		if !strings.Contains(log.String(), "an input topic was deleted and created again") || !strings.Contains(log.String(), "topic=in partition=0 offset=0") {
			t.Errorf("the log does not say that the topic was created again:\n%s", &log)
		}
	})
}

// commitAs commits an offset of "in" with metadata, as another program may do.
func (c *cluster) commitAs(offset int64, metadata string) {
	c.t.Helper()
	var to kadm.Offsets
	to.Add(kadm.Offset{Topic: "in", At: offset, LeaderEpoch: -1, Metadata: metadata})
	if err := kadm.NewClient(c.cl).CommitAllOffsets(context.Background(), "app", to); err != nil {
		c.t.Fatal(err)
	}
}

// The group still has an offset that the application has committed for a former topic, or
// another program has set one. Only the first is not used.
func TestStatelessInputAndItsOffset(t *testing.T) {
	t.Parallel()
	another := task.NoTimes(task.MarkOf("another-cluster", [16]byte{1}))
	for name, tc := range map[string]struct {
		metadata func(committed string) string // of the offset
		want     []string
	}{
		"kept by the broker":          {func(committed string) string { return committed }, []string{"a=1", "a=2", "b=3", "b=4", "b=5"}},
		"set by a tool":               {func(string) string { return "" }, []string{"a=1", "a=2", "b=5"}},
		"copied from another cluster": {func(string) string { return another }, []string{"a=1", "a=2", "b=5"}},
	} {
		t.Run(name, func(t *testing.T) {
			guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
				cfg := c.lossConfig(t.TempDir(), g)
				c.send("in", "a=1", "a=2")
				c.counted(passthrough(t), cfg, 2)
				committed := c.GroupInfo("app").Commits["in"][0].Metadata
				c.recreate("in", 1)
				c.send("in", "b=3", "b=4", "b=5")
				c.commitAs(2, tc.metadata(committed))
				if got := c.counted(passthrough(t), cfg, len(tc.want)); !slices.Equal(got, tc.want) {
					t.Errorf("got %v, want %v", got, tc.want)
				}
			})
		})
	}
}
