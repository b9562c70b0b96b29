package millrace_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// User code is slow, though each call is far from the transaction timeout. A worker
// commits in time, however many records and tasks it has. The cost is at most the first
// transaction.
func TestSlowRecordsAreCommittedInTime(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name       string
		partitions int32
		each       time.Duration
		records    int
	}{
		{"many tasks", 6, 25 * time.Millisecond, 96},
		{"one task", 1, 120 * time.Millisecond, 24},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				b := topology.New()
				in := topology.Source(b, "in", serde.String, serde.String)
				in.Peek(func(string) { <-time.After(tc.each) }).To("out")
				seen := &told{}
				cfg := c.config("app", t.TempDir())
				cfg.Workers, cfg.TransactionTimeout = 1, time.Second
				cfg.Hooks = []millrace.Hook{seen}
				c.send("in", values(0, tc.records)...)
				app := run(t, build(t, b), cfg)
				c.read("out", tc.records)
				app.stop()
				if n := seen.failed.Load(); n > 1 {
					t.Errorf("%d transactions failed", n)
				}
			}, kfake.SeedTopics(tc.partitions, "in", "out"))
		})
	}
}

// A broker allows only short transactions. An application with shorter transactions can
// restart.
func TestBrokerWithShortTransactions(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		cfg := c.config("app", t.TempDir())
		cfg.TransactionTimeout = 4 * time.Second
		for i := range 2 {
			// The second run aborts the transactions of a worker that it lacks.
			cfg.Workers = 2 - i
			app := run(t, passthrough(t), cfg)
			c.send("in", "a=1")
			c.read("out", i+1)
			app.stop()
		}
	}, kfake.SeedTopics(1, "in", "out"), kfake.BrokerConfigs(map[string]string{"transaction.max.timeout.ms": "5000"}))
}
