package millrace_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// joined joins orders with users, and users with cities.
func joined(t *testing.T) *topology.Topology {
	b := topology.New()
	orders := topology.Source(b, "orders", serde.String, serde.String)
	users := topology.SourceTable(b, "users", serde.String, serde.String)
	cities := topology.SourceTable(b, "cities", serde.String, serde.String)
	topology.LeftJoin(orders, users, func(order, user string, ok bool) string {
		if !ok {
			return "nobody: " + order
		}
		return user + ": " + order
	}, serde.String).To("out")
	topology.OuterJoinTables(users, cities, func(user string, _ bool, city string, _ bool) string {
		return user + " of " + city
	}, serde.String).Stream().To("homes")
	return build(t, b)
}

// latest returns the last value of each key of a topic.
func (c *cluster) latest(topic string) map[string]string {
	c.t.Helper()
	values := map[string]string{}
	for _, r := range c.records(topic) {
		values[string(r.Key)] = string(r.Value)
	}
	return values
}

func (c *cluster) becomes(topic string, want map[string]string) {
	c.t.Helper()
	var got map[string]string
	defer func() {
		if c.t.Failed() {
			c.t.Errorf("topic %s: got %v, want %v", topic, got, want)
		}
	}()
	eventually(c.t, "topic "+topic+" has all results", func() bool {
		got = c.latest(topic)
		return maps.Equal(got, want)
	})
}

// Joins read rows that were written before a restart, with the disk and without it.
func TestJoinsAfterARestart(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(1, "orders", "users", "cities", "out", "homes"))
			cfg := c.config("app", t.TempDir())
			cfg.Guarantee = guarantee
			app := run(t, joined(t), cfg)
			c.send("users", "u1=Ann", "u2=Bob")
			c.send("cities", "u1=Rome", "u3=Oslo")
			c.becomes("homes", map[string]string{"u1": "Ann of Rome", "u2": "Bob of ", "u3": " of Oslo"})
			c.send("orders", "u1=tea", "u3=cake")
			c.becomes("out", map[string]string{"u1": "Ann: tea", "u3": "nobody: cake"})
			app.stop()

			app = run(t, joined(t), cfg)
			c.send("cities", "u2=Bern")
			c.becomes("homes", map[string]string{"u1": "Ann of Rome", "u2": "Bob of Bern", "u3": " of Oslo"})
			app.stop()

			cfg.StateDir = t.TempDir()
			app = run(t, joined(t), cfg)
			c.send("users", "u3=Eve")
			c.becomes("homes", map[string]string{"u1": "Ann of Rome", "u2": "Bob of Bern", "u3": "Eve of Oslo"})
			c.send("orders", "u2=milk", "u3=tea")
			c.becomes("out", map[string]string{"u1": "Ann: tea", "u2": "Bob: milk", "u3": "Eve: tea"})
			app.stop()
		})
	}
}

// A foreign-key join over tables with different numbers of partitions continues after a
// restart, and after the disk was lost.
func TestForeignJoinAfterARestart(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(3, "orders"), kfake.SeedTopics(2, "users"), kfake.SeedTopics(1, "owned"))
			cfg := c.config("app", t.TempDir())
			cfg.Guarantee = guarantee
			app := run(t, owned(t), cfg)
			c.send("users", "u1=Ann", "u2=Bob")
			c.send("orders", "o1=u1/tea", "o2=u2/milk", "o3=u1/cake", "o4=u3/rice", "o5=nobody")
			c.becomes("owned", map[string]string{"o1": "u1/tea of Ann", "o2": "u2/milk of Bob", "o3": "u1/cake of Ann", "o4": "u3/rice of somebody", "o5": "nobody of somebody"})
			app.stop()

			// The subscriptions and the rows come from the disk, then from the
			// changelogs.
			c.send("users", "u1=Eve")
			c.send("orders", "o2=u1/milk")
			app = run(t, owned(t), cfg)
			c.becomes("owned", map[string]string{"o1": "u1/tea of Eve", "o2": "u1/milk of Eve", "o3": "u1/cake of Eve", "o4": "u3/rice of somebody", "o5": "nobody of somebody"})
			app.stop()

			cfg.StateDir = t.TempDir()
			app = run(t, owned(t), cfg)
			c.send("users", "u3=Kim", "u1=Ann")
			c.becomes("owned", map[string]string{"o1": "u1/tea of Ann", "o2": "u1/milk of Ann", "o3": "u1/cake of Ann", "o4": "u3/rice of Kim", "o5": "nobody of somebody"})
			app.stop()
		})
	}
}

// owned joins orders with their owners.
func owned(t *testing.T) *topology.Topology {
	b := topology.New()
	orders := topology.SourceTable(b, "orders", serde.String, serde.String)
	users := topology.SourceTable(b, "users", serde.String, serde.String)
	owner := func(order string) (string, bool) {
		user, _, ok := strings.Cut(order, "/")
		return user, ok
	}
	topology.LeftJoinForeign(orders, users, "owned", owner, func(order, user string, ok bool) string {
		if !ok {
			user = "somebody"
		}
		return order + " of " + user
	}, serde.String).Stream().To("owned")
	return build(t, b)
}
