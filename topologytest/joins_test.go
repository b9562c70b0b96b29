package topologytest_test

import (
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// TestJoinsAfterCrashes: the rows of a join come back from the disk or from the
// changelog.
func TestJoinsAfterCrashes(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]topologytest.Disk{
		"kept": topologytest.KeepDisk, "lost": topologytest.LoseDisk, "stale": topologytest.StaleDisk,
	} {
		b := topology.New()
		and := func(a, b string) string { return a + " " + b }
		users := topology.SourceTable(b, "users", serde.String, serde.String)
		cities := topology.SourceTable(b, "cities", serde.String, serde.String)
		topology.Join(topology.Source(b, "orders", serde.String, serde.String), users, and, serde.String).To("known")
		topology.JoinTables(users, cities, and, serde.String).Stream().To("placed")
		topo := build(t, b)
		d := topologytest.New(t, topo, topologytest.EveryUpdate())
		send := func(topic, value string, at int64) {
			topologytest.Input(d, topic, serde.String, serde.String).Send("k", value, time.UnixMilli(at))
		}
		send("users", "Ann", 1)
		send("cities", "Rome", 2)
		d.Commit()
		d.Crash("users", 0, how)
		send("orders", "tea for", 3)
		send("cities", "Oslo", 4)
		send("users", "Bob", 5)
		d.Commit()
		d.Crash("users", 0, how)
		send("orders", "cake for", 6)
		d.Commit()
		for topic, want := range map[string][]string{
			"known": {"tea for Ann", "cake for Bob"}, "placed": {"Ann Rome", "Ann Oslo", "Bob Oslo"},
		} {
			records := d.Topic(topic)
			if len(records) != len(want) {
				t.Fatalf("%s disk: %d records on %s, want %q", name, len(records), topic, want)
			}
			for i, r := range records {
				if string(r.Value) != want[i] {
					t.Errorf("%s disk: record %d on %s is %q, want %q", name, i, topic, r.Value, want[i])
				}
			}
		}
	}
}
