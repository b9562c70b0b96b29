package millrace_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// carts counts the carts of each country, and forgets those that are old.
func carts(t *testing.T, opts ...topology.SourceTableOption) *topology.Topology {
	b := topology.New()
	rows := topology.SourceTable(b, "carts", serde.String, serde.String, opts...)
	count := topology.GroupTable(rows, "by-country", func(country string) string { return country }, serde.String).Count("count")
	topology.MapTable(count, func(n int64) string { return fmt.Sprint(n) }, serde.String).Stream().To("out")
	return build(t, b)
}

// Rows with a time to live expire after restarts with the disk and without it, and after
// a new version of the program has changed the time, added or removed it.
func TestTTLAfterARestart(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(1, "carts", "out"))
			cfg := c.config("app", t.TempDir())
			cfg.Guarantee = guarantee
			day := topology.TTL(24 * time.Hour)

			app := run(t, carts(t), cfg)
			c.produce("carts", "ann", "NO", 0)
			c.produce("carts", "bob", "NO", 10*time.Hour)
			c.becomes("out", map[string]string{"NO": "2"})
			app.stop()

			app = run(t, carts(t, day), cfg) // the rows are there before the option
			c.produce("carts", "cid", "IT", 25*time.Hour)
			c.becomes("out", map[string]string{"NO": "1", "IT": "1"})
			app.hasNoCart("ann")
			app.stop()

			cfg.StateDir = t.TempDir()
			app = run(t, carts(t, day), cfg)
			c.produce("carts", "dan", "IT", 35*time.Hour)
			c.becomes("out", map[string]string{"NO": "0", "IT": "2"})
			app.stop()

			app = run(t, carts(t), cfg)
			c.produce("carts", "eve", "NO", 100*time.Hour)
			c.becomes("out", map[string]string{"NO": "1", "IT": "2"})
			app.stop()

			app = run(t, carts(t, topology.TTL(70*time.Hour)), cfg)
			c.produce("carts", "fay", "NO", 101*time.Hour)
			c.becomes("out", map[string]string{"NO": "2", "IT": "1"})
			app.hasNoCart("cid")
			app.stop()
		})
	}
}

// hasNoCart waits until queries do not find a cart.
func (r *running) hasNoCart(key string) {
	r.t.Helper()
	carts := topology.SourceTable(topology.New(), "carts", serde.String, serde.String)
	eventually(r.t, "the cart of "+key+" has expired", func() bool {
		_, ok, err := millrace.Get(context.Background(), r.App, carts, key)
		return err == nil && !ok
	})
}
