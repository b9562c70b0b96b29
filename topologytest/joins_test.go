package topologytest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
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

// lookedUp are tables that a stream is joined with, by the topics of the results, and the
// row that a key has in them.
var lookedUp = map[string]struct {
	table func(b *topology.Builder, users, cities topology.Table[string, string]) topology.Table[string, string]
	row   func(m streamTableModel, key string) (string, bool)
}{
	"users": {
		func(_ *topology.Builder, users, _ topology.Table[string, string]) topology.Table[string, string] {
			return users
		},
		func(m streamTableModel, key string) (string, bool) { v, ok := m["users"][key]; return v, ok },
	},
	"mapped": {
		func(_ *topology.Builder, users, _ topology.Table[string, string]) topology.Table[string, string] {
			return topology.MapTable(users, strings.ToUpper, serde.String)
		},
		func(m streamTableModel, key string) (string, bool) {
			v, ok := m["users"][key]
			return strings.ToUpper(v), ok
		},
	},
	"filtered": {
		func(_ *topology.Builder, users, _ topology.Table[string, string]) topology.Table[string, string] {
			return users.Filter(isEven)
		},
		func(m streamTableModel, key string) (string, bool) {
			if v, ok := m["users"][key]; ok && isEven(v) {
				return v, true
			}
			return "", false
		},
	},
	"joined": {
		func(_ *topology.Builder, users, cities topology.Table[string, string]) topology.Table[string, string] {
			return topology.OuterJoinTables(users, cities, eitherOf, serde.String)
		},
		func(m streamTableModel, key string) (string, bool) {
			u, uok := m["users"][key]
			c, cok := m["cities"][key]
			if !uok && !cok {
				return "", false
			}
			return eitherOf(u, uok, c, cok), true
		},
	},
	"reduced": {
		func(b *topology.Builder, _, _ topology.Table[string, string]) topology.Table[string, string] {
			clicks := topology.Source(b, "clicks", serde.String, serde.String)
			return topology.GroupByKey(clicks, "by-key").Reduce("reduced", func(a, b string) string { return a + b })
		},
		func(m streamTableModel, key string) (string, bool) { v, ok := m["clicks"][key]; return v, ok },
	},
}

// streamTableModel has the newest row of each key, by topic.
type streamTableModel map[string]map[string]string

func isEven(v string) bool { return strings.ContainsAny(v[len(v)-1:], "02468") }

func eitherOf(a string, aok bool, b string, bok bool) string { return fmt.Sprint(a, aok, b, bok) }

func joinsOfStreamWithTables(t *testing.T) *topology.Topology {
	b := topology.New()
	users := topology.SourceTable(b, "users", serde.String, serde.String)
	cities := topology.SourceTable(b, "cities", serde.String, serde.String)
	orders := topology.Source(b, "orders", serde.String, serde.String)
	for _, name := range slices.Sorted(maps.Keys(lookedUp)) {
		table := lookedUp[name].table(b, users, cities)
		topology.Join(orders, table, func(v, row string) string { return v + ":" + row }, serde.String).To("inner-" + name)
		topology.LeftJoin(orders, table, func(v, row string, ok bool) string { return fmt.Sprint(v, ":", row, ok) }, serde.String).To("left-" + name)
	}
	return build(t, b)
}

// TestStreamTableJoinsAreTheModel: each record of the stream meets the newest row of its
// key, also if the table has not sent it yet, with records out of order, over commits,
// crashes and restarts. The result has the record's key, timestamp and headers.
func TestStreamTableJoinsAreTheModel(t *testing.T) {
	t.Parallel()
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk}
	seedtest.Run(t, 30, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 51))
		// After a crash, a task takes records in order of their timestamps. They must
		// have come in this order for the results to be the same.
		crashes := r.IntN(2) == 0
		opts := []topologytest.Option{topologytest.Workers(1 + r.IntN(2)), topologytest.CommitInterval(time.Hour)}
		partitions := 1 + r.Int32N(3)
		for _, topic := range []string{"users", "cities", "orders", "clicks"} {
			opts = append(opts, topologytest.Partitions(topic, partitions))
		}
		if r.IntN(4) == 0 {
			opts = append(opts, topologytest.EveryUpdate())
		}
		d := topologytest.New(t, joinsOfStreamWithTables(t), opts...)
		model := streamTableModel{"users": {}, "cities": {}, "clicks": {}}
		want := map[string][]string{}
		for i := range 120 {
			topic, key, value := []string{"users", "cities", "clicks", "orders", "orders"}[r.IntN(5)], string(rune('a'+r.IntN(4))), fmt.Sprint("v", i)
			record := processor.NewRecord(key, value, processor.TimestampOf(start.Add(time.Duration(i)*time.Second)))
			if !crashes {
				record.Timestamp = processor.TimestampOf(start.Add(time.Duration(r.IntN(120)) * time.Second))
			}
			record.Headers = processor.Headers{{Key: "number", Value: []byte(value)}}
			switch {
			case topic == "orders":
				for name, of := range lookedUp {
					row, ok := of.row(model, key)
					if ok {
						want["inner-"+name] = append(want["inner-"+name], fmt.Sprint(key, "=", value, ":", row, "@", record.Timestamp, value))
					}
					want["left-"+name] = append(want["left-"+name], fmt.Sprint(key, "=", value, ":", row, ok, "@", record.Timestamp, value))
				}
			case topic == "clicks":
				model[topic][key] += value
			case r.IntN(4) == 0:
				record.Value, record.NoValue = "", true
				delete(model[topic], key)
			default:
				model[topic][key] = value
			}
			topologytest.Input(d, topic, serde.String, serde.String).SendRecord(record)
			switch r.IntN(10) {
			case 0, 1:
				d.Commit()
			case 2:
				if crashes {
					d.CrashAll(disks[r.IntN(len(disks))])
				}
			case 3:
				if crashes {
					d.Restart()
				}
			}
		}
		d.Commit()
		for topic, want := range want {
			var got []string
			for _, out := range d.Topic(topic) {
				number, _ := out.Headers.Get("number")
				got = append(got, fmt.Sprint(string(out.Key), "=", string(out.Value), "@", out.Timestamp, string(number)))
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d: %s has\n%q\nwant\n%q", seed, topic, got, want)
			}
		}
	})
}
