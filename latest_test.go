package millrace_test

import (
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// A source that starts at the end remembers its first start. Neither a transaction with
// an unknown outcome nor a restart skips records that came later.
func TestLatestIsWhereItStartedFirst(t *testing.T) {
	t.Parallel()
	latest := func() *topology.Topology {
		b := topology.New()
		topology.Source(b, "in", serde.String, serde.String, topology.StartAtLatest()).To("out")
		return build(t, b)
	}
	t.Run("unknown outcome", func(t *testing.T) {
		t.Parallel()
		virtually(t, func(t *testing.T, c *cluster) {
			c.send("in", "a=1")
			running := newStates()
			cfg := c.config("app", t.TempDir())
			cfg.TransactionTimeout = 2 * time.Second
			cfg.Hooks = []millrace.Hook{running}
			app := run(t, latest(), cfg)
			running.await(t, millrace.Running)
			fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.UnknownServerError, Count: 2})
			c.send("in", "b=2", "c=3")
			if got := c.read("out", 2); !slices.Equal(got, []string{"b=2", "c=3"}) {
				t.Errorf("got %v", got)
			}
			if fault.Hits() == 0 {
				t.Error("the fault was never met")
			}
			app.stop()
		}, kfake.SeedTopics(1, "in", "out"))
	})
	t.Run("restart", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
		c.send("in", "a=1")
		cfg := c.config("app", t.TempDir())
		app := run(t, latest(), cfg)
		eventually(t, "the start is committed", func() bool { return c.committed("app", "in", 0) == 1 })
		app.stop()
		c.send("in", "b=2")
		app = run(t, latest(), cfg)
		if got := c.read("out", 1); !slices.Equal(got, []string{"b=2"}) {
			t.Errorf("got %v", got)
		}
		app.stop()
	})
}
