package topologytest_test

import (
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// message is a record of a topic. Without a key or a value, the text is empty.
type message struct {
	topic, key, value string
	at                processor.Timestamp
}

// TestDropReasons: operators count each record that they drop, by its reason. Updates of
// the past are sent with EveryUpdate only.
func TestDropReasons(t *testing.T) {
	t.Parallel()
	source := func(b *topology.Builder) topology.Stream[string, string] {
		return topology.Source(b, "in", serde.String, serde.String)
	}
	versions := func(b *topology.Builder, topic string) topology.Table[string, string] {
		return topology.SourceTable(b, topic, serde.String, serde.String, topology.Versioned(time.Hour))
	}
	table := func(b *topology.Builder, topic string) topology.Table[string, string] {
		return topology.SourceTable(b, topic, serde.String, serde.String)
	}
	both := func(l, r string) string { return l + r }
	owner := func(v string) (string, bool) { return v, true }
	for name, c := range map[string]struct {
		build func(b *topology.Builder)
		in    []message
		want  map[string]int64
	}{
		"sliding windows": {
			func(b *topology.Builder) {
				topology.GroupByKey(source(b), "by").Window(topology.Sliding(10 * time.Millisecond)).Count("n")
			},
			[]message{{"in", "", "v", 1}, {"in", "k", "", 2}, {"in", "k", "v", 100}, {"in", "k", "v", 1}},
			map[string]int64{"null key": 1, "null value": 1, "late record": 1},
		},
		"sessions": {
			func(b *topology.Builder) {
				topology.GroupByKey(source(b), "by").Sessions(10*time.Millisecond).Reduce("last", func(_, v string) string { return v })
			},
			[]message{{"in", "", "v", 1}, {"in", "k", "", 2}, {"in", "k", "v", 100}, {"in", "k", "v", 1}},
			map[string]int64{"null key": 1, "null value": 1, "late record": 1},
		},
		"a global table": {
			func(b *topology.Builder) {
				key := func(v string) *string { // nil: no key
					if v == "none" {
						return nil
					}
					return &v
				}
				rows := topology.GlobalTable(b, "r", serde.Nullable(serde.String), serde.String)
				topology.JoinGlobal(source(b), rows, key, both, serde.String).To("out")
			},
			[]message{{"in", "k", "", 1}, {"in", "k", "none", 2}},
			map[string]int64{"null value": 1, "null key": 1},
		},
		"a versioned left table": {
			func(b *topology.Builder) {
				topology.JoinTables(versions(b, "in"), table(b, "r"), both, serde.String).Stream().To("out")
			},
			[]message{{"in", "k", "new", 10}, {"in", "k", "old", 5}},
			map[string]int64{"update of the past": 1},
		},
		"a versioned left table of a foreign-key join": {
			func(b *topology.Builder) {
				topology.JoinForeign(versions(b, "in"), table(b, "r"), "j", owner, both, serde.String).Stream().To("out")
			},
			[]message{{"in", "k", "new", 10}, {"in", "k", "old", 5}},
			map[string]int64{"update of the past": 1},
		},
		"a versioned right table of a foreign-key join": {
			func(b *topology.Builder) {
				topology.JoinForeign(table(b, "l"), versions(b, "in"), "j", owner, both, serde.String).Stream().To("out")
			},
			[]message{{"in", "k", "new", 10}, {"in", "k", "old", 5}},
			map[string]int64{"update of the past": 1},
		},
		"rows with a time to live": {
			func(b *topology.Builder) {
				spec := state.KeyValue("rows", serde.String, serde.String, state.TTL(10*time.Millisecond))
				topology.Process(source(b), "p", func() *putting { return &putting{spec: spec} }, serde.String, serde.String, spec).To("out")
			},
			[]message{{"in", "k", "v", 100}, {"in", "l", "v", 5}},
			map[string]int64{"expired row": 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := topology.New()
			c.build(b)
			d := topologytest.New(t, build(t, b), topologytest.EveryUpdate())
			for _, m := range c.in {
				d.Send(m.topic, 0, bytesOrNil(m.key), bytesOrNil(m.value), m.at)
			}
			d.Commit()
			if got := d.DropReasons(); !maps.Equal(got, c.want) {
				t.Errorf("dropped %v, want %v", got, c.want)
			}
		})
	}
}

func bytesOrNil(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}

// putting puts each record into a store.
type putting struct {
	spec state.Spec[string, string]
	rows state.KeyValueStore[string, string]
}

func (p *putting) Init(ctx processor.Context[string, string]) error {
	p.rows = state.Open(ctx, p.spec)
	return nil
}

func (p *putting) Process(_ processor.Context[string, string], r processor.Record[string, string]) error {
	return p.rows.Put(r.Key, r.Value)
}

// TestFailingTableJoiner: if the joiner of two tables fails, and the policy skips the
// error, the former result is deleted.
func TestFailingTableJoiner(t *testing.T) {
	t.Parallel()
	b := topology.New()
	left, right := topology.SourceTable(b, "l", serde.String, serde.String), topology.SourceTable(b, "r", serde.String, serde.String)
	topology.TryJoinTables(left, right, func(l, r string) (string, error) {
		if l == "bad" {
			return "", errors.New("bad")
		}
		return l + r, nil
	}, serde.String).Stream().To("out")
	d := topologytest.New(t, build(t, b), topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Skip}))
	for _, m := range []message{{"r", "k", "R", 1}, {"l", "k", "good", 2}, {"l", "k", "bad", 3}} {
		d.Send(m.topic, 0, []byte(m.key), []byte(m.value), m.at)
		d.Commit()
	}
	out := d.Topic("out")
	if len(out) != 2 || string(out[0].Value) != "goodR" || out[1].Value != nil {
		t.Errorf("out has %v, want goodR, and a deletion", out)
	}
}
