package millrace_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// priced joins orders with the prices as of their time, when late prices have come.
func priced(t *testing.T) *topology.Topology {
	b := topology.New()
	prices := topology.SourceTable(b, "prices", serde.String, serde.String, topology.Versioned(24*time.Hour))
	orders := topology.Source(b, "orders", serde.String, serde.String)
	topology.LeftJoin(orders, prices, func(order, price string, _ bool) string { return order + " at " + price }, serde.String,
		topology.Grace(time.Hour), topology.Named("priced")).To("out")
	return build(t, b)
}

// Versions of a table, and records that wait in a join, survive restarts with the disk
// and without it.
func TestVersionedTableAfterARestart(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(1, "orders", "prices", "out"))
			cfg := c.config("app", t.TempDir())
			cfg.Guarantee = guarantee
			app := run(t, priced(t), cfg)
			c.produce("prices", "tea", "3", 1*time.Hour)
			c.produce("prices", "tea", "5", 3*time.Hour)
			app.hasPrice("5")
			c.produce("orders", "tea", "first", 2*time.Hour)
			c.produce("orders", "tea", "second", 4*time.Hour)
			c.becomes("out", map[string]string{"tea": "first at 3"})
			app.stop()

			app = run(t, priced(t), cfg)
			c.produce("prices", "tea", "6", 4*time.Hour-time.Minute)
			app.hasPrice("6")
			app.stop()

			cfg.StateDir = t.TempDir()
			app = run(t, priced(t), cfg)
			c.produce("prices", "tea", "7", 5*time.Hour)
			app.hasPrice("7")
			c.produce("orders", "tea", "third", 6*time.Hour)
			c.becomes("out", map[string]string{"tea": "second at 6"})
			app.stop()
		})
	}
}

// produce writes a record with a time.
func (c *cluster) produce(topic, key, value string, at time.Duration) {
	c.t.Helper()
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value), Timestamp: time.UnixMilli(at.Milliseconds())}
	if err := c.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// hasPrice waits for a committed price of tea.
func (r *running) hasPrice(want string) {
	r.t.Helper()
	prices := topology.SourceTable(topology.New(), "prices", serde.String, serde.String, topology.Versioned(time.Hour))
	eventually(r.t, "the price is "+want, func() bool {
		v, ok, err := millrace.Get(context.Background(), r.App, prices, "tea")
		return err == nil && ok && v == want
	})
}
