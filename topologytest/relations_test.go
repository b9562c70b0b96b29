package topologytest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// update is an update of a source, or a deletion.
type update struct {
	key     string
	value   int64
	deleted bool
	at      int64 // ms
}

// relation is a table of a random topology, with the rows that it has in the end.
type relation struct {
	table topology.Table[string, int64]
	rows  func(in map[string][]update) map[string]int64
	// from has the sources whose updates reach the table within one task. If two tables
	// share one, an update reaches both sides of their join.
	from map[string]bool
	text string
}

// relations makes random tables of random tables. Keys are k0 to k4, and values are below
// 1000.
type relations struct {
	b         *topology.Builder
	r         *rand.Rand
	names     int
	topics    []string
	all       []relation
	versioned bool // one of the tables keeps versions
}

const relationKeys = 5

func (m *relations) name(of string) string { m.names++; return fmt.Sprint(of, m.names) }

func (m *relations) add(r relation) {
	r.text = fmt.Sprintf("%d: %s", len(m.all), r.text)
	m.all = append(m.all, r)
}

func (m *relations) any() relation { return m.all[m.r.IntN(len(m.all))] }

func (m *relations) options() (opts []topology.StoreOption) {
	if m.r.IntN(4) == 0 {
		opts = append(opts, topology.EveryUpdate())
	}
	if m.r.IntN(4) == 0 {
		opts = append(opts, topology.InMemory())
	}
	return opts
}

func (m *relations) tableOptions() (opts []topology.TableOption) {
	for _, o := range m.options() {
		opts = append(opts, o)
	}
	return opts
}

func below1000(n int64) int64 { return (n%1000 + 1000) % 1000 }

func groupKey(v int64) string { return fmt.Sprint("k", v%relationKeys) }

// source adds a table of a topic, or of a stream.
func (m *relations) source() {
	topic := m.name("in")
	m.topics = append(m.topics, topic)
	var opts []topology.SourceTableOption
	for _, o := range m.options() {
		opts = append(opts, o)
	}
	r := relation{from: map[string]bool{topic: true}, text: "table of " + topic}
	byTime, deletes := false, true
	switch m.r.IntN(7) {
	case 0:
		r.text = "ToTable of " + topic
		r.table = topology.Source(m.b, topic, serde.String, serde.Int64).ToTable(m.name("table"))
	case 1:
		r.text, deletes = "Reduce of "+topic, false
		grouped := topology.GroupByKey(topology.Source(m.b, topic, serde.String, serde.Int64), m.name("by"))
		r.table = grouped.Reduce(m.name("last"), func(_, v int64) int64 { return v }, m.tableOptions()...)
	case 2:
		r.text, byTime, m.versioned = "versions of "+topic, true, true
		r.table = topology.SourceTable(m.b, topic, serde.String, serde.Int64, topology.Versioned(time.Hour))
	case 3:
		opts = append(opts, topology.TTL(1000*time.Hour))
		fallthrough
	default:
		r.table = topology.SourceTable(m.b, topic, serde.String, serde.Int64, opts...)
	}
	r.rows = func(in map[string][]update) map[string]int64 {
		rows, newest := map[string]int64{}, map[string]int64{}
		for _, u := range in[topic] {
			if u.deleted && !deletes || byTime && u.at < newest[u.key] {
				continue
			}
			newest[u.key], rows[u.key] = u.at, u.value
			if u.deleted {
				delete(rows, u.key)
			}
		}
		return rows
	}
	m.add(r)
}

// counted adds a count by value. Its repartition topic may have combined records.
func (m *relations) counted() {
	topic := m.name("in")
	m.topics = append(m.topics, topic)
	grouped := topology.GroupBy(topology.Source(m.b, topic, serde.String, serde.Int64), m.name("by"), groupKey, serde.String)
	m.add(relation{grouped.Count(m.name("counts")), func(in map[string][]update) map[string]int64 {
		rows := map[string]int64{}
		for _, u := range in[topic] {
			if !u.deleted {
				rows[groupKey(u.value)]++
			}
		}
		return rows
	}, map[string]bool{m.name("task"): true}, "count of " + topic})
}

// derived adds a table that one of the others becomes, row by row.
func (m *relations) derived() {
	of := m.any()
	rows := of.rows
	r := relation{from: of.from}
	keep, convert := func(int64) bool { return true }, func(v int64) int64 { return v }
	switch m.r.IntN(5) {
	case 0:
		keep = func(v int64) bool { return v%3 != 0 }
		r.table, r.text = of.table.Filter(keep), "Filter of "
	case 1:
		convert = func(v int64) int64 { return below1000(7*v + 1) }
		r.table, r.text = topology.MapTable(of.table, convert, serde.Int64), "MapTable of "
	case 2:
		r.table, r.text = of.table.Stored(m.name("stored"), m.tableOptions()...), "Stored of "
	case 3:
		r.table, r.text = of.table.Suppress(m.name("calm"), topology.UntilTimeLimit(0)), "Suppress of "
	case 4:
		convert = func(v int64) int64 { return v + 1 }
		processed := topology.ProcessTable(of.table, m.name("processed"), func() plusOne { return plusOne{} }, serde.Int64)
		r.table, r.text = processed.Stored(m.name("kept"), m.tableOptions()...), "ProcessTable of "
	}
	r.text += of.text
	r.rows = func(in map[string][]update) map[string]int64 {
		out := map[string]int64{}
		for key, v := range rows(in) {
			if keep(v) {
				out[key] = convert(v)
			}
		}
		return out
	}
	m.add(r)
}

// plusOne is a processor of a table.
type plusOne struct{}

func (plusOne) Init(processor.FixedKeyContext[string, int64]) error { return nil }

func (plusOne) Process(ctx processor.FixedKeyContext[string, int64], r processor.FixedKeyRecord[string, int64]) error {
	next := processor.WithFixedKeyValue(r, r.Value()+1)
	if r.NoValue() {
		next = next.WithoutValue()
	}
	ctx.Forward(next)
	return nil
}

// joinRows joins two rows. Other pairs of rows have other results.
func joinRows(l int64, lok bool, r int64, rok bool) int64 {
	if !lok {
		l = 5
	}
	if !rok {
		r = 7
	}
	return below1000(31*l + 17*r + 3)
}

// joined adds a join of two tables.
func (m *relations) joined() {
	left, right := m.any(), m.any()
	r := relation{from: maps.Clone(left.from), text: fmt.Sprintf("join of (%s) and (%s)", left.text, right.text)}
	related := false
	for topic := range right.from {
		related = related || r.from[topic]
		r.from[topic] = true
	}
	kind := m.r.IntN(3)
	switch kind {
	case 0:
		r.table = topology.JoinTables(left.table, right.table, func(l, r int64) int64 { return joinRows(l, true, r, true) }, serde.Int64)
	case 1:
		r.table = topology.LeftJoinTables(left.table, right.table, func(l, r int64, ok bool) int64 { return joinRows(l, true, r, ok) }, serde.Int64)
	case 2:
		r.table = topology.OuterJoinTables(left.table, right.table, joinRows, serde.Int64)
	}
	if related || m.r.IntN(3) == 0 {
		r.table = r.table.Stored(m.name("joined"), m.tableOptions()...)
	}
	r.rows = func(in map[string][]update) map[string]int64 {
		lefts, rights, out := left.rows(in), right.rows(in), map[string]int64{}
		for i := range relationKeys {
			key := fmt.Sprint("k", i)
			l, lok := lefts[key]
			r, rok := rights[key]
			if lok && rok || kind > 0 && lok || kind == 2 && rok {
				out[key] = joinRows(l, lok, r, rok)
			}
		}
		return out
	}
	m.add(r)
}

// joinedForeign adds a foreign-key join.
func (m *relations) joinedForeign() {
	left, right := m.any(), m.any()
	foreign := func(v int64) (string, bool) { return groupKey(v / 3), v%7 != 0 }
	keepsAll := m.r.IntN(2) == 0
	var joined topology.Table[string, int64]
	if keepsAll {
		joined = topology.LeftJoinForeign(left.table, right.table, m.name("foreign"), foreign,
			func(l, r int64, ok bool) int64 { return joinRows(l, true, r, ok) }, serde.Int64, m.tableOptions()...)
	} else {
		joined = topology.JoinForeign(left.table, right.table, m.name("foreign"), foreign,
			func(l, r int64) int64 { return joinRows(l, true, r, true) }, serde.Int64, m.tableOptions()...)
	}
	m.add(relation{joined.Stored(m.name("owned"), m.tableOptions()...), func(in map[string][]update) map[string]int64 {
		rights, out := right.rows(in), map[string]int64{}
		for key, l := range left.rows(in) {
			of, ok := foreign(l)
			r, found := rights[of]
			if found = found && ok; found || keepsAll {
				out[key] = joinRows(l, true, r, found)
			}
		}
		return out
	}, map[string]bool{m.name("task"): true}, fmt.Sprintf("foreign-key join of (%s) and (%s)", left.text, right.text)})
}

// groupSum is the aggregate of a group.
type groupSum struct{ Rows, Sum int64 }

// grouped adds the sums of the groups of a table.
func (m *relations) grouped() {
	of := m.any()
	groups := topology.GroupTable(of.table, m.name("grouped"), groupKey, serde.String)
	sums := topology.AggregateTable(groups, m.name("sums"), func() groupSum { return groupSum{} },
		func(s groupSum, r processor.Record[string, int64]) groupSum {
			return groupSum{s.Rows + 1, s.Sum + r.Value}
		},
		func(s groupSum, r processor.Record[string, int64]) groupSum {
			return groupSum{s.Rows - 1, s.Sum - r.Value}
		},
		serde.JSON[groupSum](), m.tableOptions()...)
	// A group without rows keeps its row.
	present := sums.Filter(func(s groupSum) bool { return s.Rows > 0 })
	table := topology.MapTable(present, func(s groupSum) int64 { return below1000(s.Sum) }, serde.Int64)
	m.add(relation{table, func(in map[string][]update) map[string]int64 {
		out := map[string]int64{}
		for _, v := range of.rows(in) {
			out[groupKey(v)] = below1000(out[groupKey(v)] + v)
		}
		return out
	}, map[string]bool{m.name("task"): true}, fmt.Sprintf("groups of (%s)", of.text)})
}

// randomRelations makes sources, and tables that are derived from them, and from each
// other.
func randomRelations(r *rand.Rand) *relations {
	m := &relations{b: topology.New(), r: r}
	for range 2 + r.IntN(3) {
		if m.source(); r.IntN(6) == 0 {
			m.counted()
		}
	}
	ways := []func(){m.derived, m.derived, m.joined, m.joined, m.joinedForeign, m.grouped, m.grouped}
	for range 2 + r.IntN(5) {
		ways[r.IntN(len(ways))]()
	}
	for i, r := range m.all {
		r.table.Stream().To(fmt.Sprint("out", i))
	}
	return m
}

// TestRandomTopologiesOfTables builds random topologies of tables: sources, filters,
// joins, foreign-key joins, groups and stores, behind one another. Over random updates,
// commits, crashes and lost disks, each table ends with the rows that its definition
// gives for the last rows of the sources. In particular, a group loses exactly what it
// got.
func TestRandomTopologiesOfTables(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 100, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 99))
		m := randomRelations(r)
		opts := []topologytest.Option{topologytest.Workers(1 + r.IntN(2)), topologytest.CommitInterval(time.Hour)}
		partitions := 1 + r.Int32N(3)
		for _, topic := range m.topics {
			opts = append(opts, topologytest.Partitions(topic, partitions))
		}
		// With every update, a versioned table also forwards updates of the past.
		if r.IntN(5) == 0 && !m.versioned {
			opts = append(opts, topologytest.EveryUpdate())
		}
		if r.IntN(3) == 0 {
			opts = append(opts, seam.NoShortcuts().(topologytest.Option))
		}
		if r.IntN(2) == 0 {
			opts = append(opts, seam.Combining().(topologytest.Option))
		}
		d := topologytest.New(t, build(t, m.b), opts...)
		in := feedRelations(d, m.topics, r)
		for i, of := range m.all {
			got := map[string]int64{}
			for _, r := range topologytest.Output(d, fmt.Sprint("out", i), serde.String, serde.Int64).Records() {
				if got[r.Key] = r.Value; r.NoValue {
					delete(got, r.Key)
				}
			}
			if want := of.rows(in); !maps.Equal(got, want) {
				var texts []string
				for _, of := range m.all {
					texts = append(texts, of.text)
				}
				t.Fatalf("table %d has %v, want %v; the tables are\n%s", i, got, want, strings.Join(texts, "\n"))
			}
		}
	})
}

// feedRelations sends random updates, with commits and perhaps crashes, and returns them
// by topic.
func feedRelations(d *topologytest.Driver, topics []string, r *rand.Rand) map[string][]update {
	disks := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(7)}
	in := map[string][]update{}
	rarely, crashes := 2+r.IntN(20), r.IntN(2) == 0
	for i := range 80 {
		topic := topics[r.IntN(len(topics))]
		u := update{fmt.Sprint("k", r.IntN(relationKeys)), r.Int64N(1000), r.IntN(4) == 0, int64(1_000_000 + 3*i + r.IntN(60))}
		in[topic] = append(in[topic], u)
		record := processor.NewRecord(u.key, u.value, processor.Timestamp(u.at))
		if record.NoValue = u.deleted; u.deleted {
			record.Value = 0
		}
		topologytest.Input(d, topic, serde.String, serde.Int64).SendRecord(record)
		switch n := r.IntN(60); {
		case r.IntN(rarely) == 0:
			d.Commit()
		case crashes && n < 2:
			d.CrashAll(disks[r.IntN(len(disks))])
		case crashes && n == 2:
			d.Restart()
		}
	}
	d.Commit()
	return in
}
