package topologytest_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/jointest"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// versionedModel joins a stream with a table that keeps versions, as of the stream's
// timestamps, and groups the table's rows.
type versionedModel struct {
	history, grace int64
	left           bool
	tableTime      int64
	versions       map[string][]modelVersion // by key, in order of time
	time           int64
	waiting        []jointest.Record // in order of arrival
	out, now       []jointest.Output // of the join with a grace, and of the one without
}

// modelVersion is a version of a row. Without a value it is a deletion.
type modelVersion struct {
	at    int64
	value string
}

// update applies a record of the table's topic.
func (m *versionedModel) update(in jointest.Record) {
	if in.Key == nil {
		return
	}
	m.tableTime = max(m.tableTime, in.At)
	if in.At < m.tableTime-m.history {
		return
	}
	key := string(in.Key)
	list := slices.DeleteFunc(m.versions[key], func(v modelVersion) bool { return v.at == in.At })
	list = append(list, modelVersion{in.At, string(in.Value)})
	slices.SortFunc(list, func(a, b modelVersion) int { return cmp.Compare(a.at, b.at) })
	m.versions[key] = list
}

// newest returns the value of a key, "" if it has none.
func (m *versionedModel) newest(key string) string {
	list := m.versions[key]
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1].value
}

func (m *versionedModel) asOf(key string, at int64) string {
	list := m.versions[key]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].at <= at {
			if i < len(list)-1 && at < m.tableTime-m.history {
				return ""
			}
			return list[i].value
		}
	}
	return ""
}

// add applies a record of the stream.
func (m *versionedModel) add(in jointest.Record) {
	if in.Value == nil {
		return
	}
	m.join(in, &m.now)
	if in.Key == nil || in.At < m.time-m.grace {
		m.join(in, &m.out)
		return
	}
	m.time = max(m.time, in.At)
	m.waiting = append(m.waiting, in)
	slices.SortStableFunc(m.waiting, func(a, b jointest.Record) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(string(a.Key), string(b.Key)))
	})
	for len(m.waiting) > 0 && m.waiting[0].At <= m.time-m.grace {
		m.join(m.waiting[0], &m.out)
		m.waiting = m.waiting[1:]
	}
}

func (m *versionedModel) join(in jointest.Record, out *[]jointest.Output) {
	row := ""
	if in.Key != nil {
		row = m.asOf(string(in.Key), in.At)
	}
	if row == "" {
		if !m.left {
			return
		}
		row = "null"
	}
	*out = append(*out, jointest.Output{Key: in.Key, Value: []byte(string(in.Value) + "+" + row), At: in.At})
}

// groups returns how many keys have a newest value with each first letter.
func (m *versionedModel) groups() map[string]int64 {
	counts := map[string]int64{}
	for key := range m.versions {
		if v := m.newest(key); v != "" {
			counts[v[:1]]++
		}
	}
	return counts
}

func (m *versionedModel) joined(s topology.Stream[string, string], t topology.Table[string, string], opts ...topology.JoinOption) topology.Stream[string, string] {
	if !m.left {
		return topology.Join(s, t, func(v, row string) string { return v + "+" + row }, serde.String, opts...)
	}
	return topology.LeftJoin(s, t, func(v, row string, ok bool) string {
		if !ok {
			row = "null"
		}
		return v + "+" + row
	}, serde.String, opts...)
}

func versionedTopology(t *testing.T, m *versionedModel, stores ...topology.SourceTableOption) *topology.Topology {
	b := topology.New()
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	opts := append([]topology.SourceTableOption{topology.Versioned(ms(m.history))}, stores...)
	table := topology.SourceTable(b, "table", serde.String, serde.String, opts...)
	stream := topology.Source(b, "stream", serde.String, serde.String)
	m.joined(stream, table, topology.Grace(ms(m.grace)), topology.Named("joined")).To("out")
	m.joined(stream, table, topology.Named("now")).To("now")
	topology.GroupTable(table, "by-letter", func(v string) string { return v[:1] }, serde.String).Count("letters").Stream().To("counts")
	return build(t, b)
}

// TestVersionedTablesAreTheModel joins random records of a stream with a table that keeps
// versions, waiting for late updates, and groups the table. Records are out of order
// within the grace and the history, and beyond them. The results are those of a naive
// model: over commit intervals, with and without EveryUpdate, on disk and in memory, and
// over restarts and crashes with kept, stale, torn and lost disks.
func TestVersionedTablesAreTheModel(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 120, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 19))
		m := &versionedModel{history: 20 + int64(r.IntN(200)), left: r.IntN(2) == 0, tableTime: -1, time: -1, versions: map[string][]modelVersion{}}
		if r.IntN(3) == 0 {
			m.history = 100_000
		}
		m.grace = int64(r.IntN(3)*r.IntN(20)) % m.history
		if !versionedLikeTheModel(t, r, m) {
			t.Fatalf("history %d, grace %d, left %v", m.history, m.grace, m.left)
		}
	})
}

func versionedLikeTheModel(t *testing.T, r *rand.Rand, m *versionedModel) bool {
	opts := []topologytest.Option{topologytest.CommitInterval(time.Hour)}
	if r.IntN(2) == 0 {
		opts = append(opts, topologytest.EveryUpdate())
	}
	var stores []topology.SourceTableOption
	if r.IntN(3) == 0 {
		stores = append(stores, topology.InMemory())
	}
	d := topologytest.New(t, versionedTopology(t, m, stores...), opts...)
	now := int64(r.IntN(200_000)) // in any place of a segment
	for i := range 150 {
		now += int64(r.IntN(15))
		if r.IntN(40) == 0 {
			now += 60_000 // the next segment
		}
		in := randomRecord(r, now, fmt.Sprint(string(rune('p'+r.IntN(3))), i))
		if in.Right {
			d.Send("table", 0, in.Key, in.Value, processor.Timestamp(in.At))
			m.update(in)
		} else {
			d.Send("stream", 0, in.Key, in.Value, processor.Timestamp(in.At))
			m.add(in)
		}
		if r.IntN(8) == 0 {
			d.Commit()
			stop(d, r)
			if r.IntN(8) == 0 {
				d.Crash("joined", 0, topologytest.TearDisk(r.Uint64()))
			}
		}
	}
	d.Commit()
	return sameOutputs(t, d.Topic("out"), m.out) && sameOutputs(t, d.Topic("now"), m.now) && sameGroups(t, d.Topic("counts"), m.groups())
}

// sameGroups compares the last count of each group. A group that has become empty has the
// count 0.
func sameGroups(t *testing.T, got []topologytest.Record, want map[string]int64) bool {
	t.Helper()
	last := map[string]int64{}
	for _, r := range got {
		n, err := serde.Int64.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if last[string(r.Key)] = n; n == 0 {
			delete(last, string(r.Key))
		}
	}
	if !maps.Equal(last, want) {
		t.Errorf("groups %v, want %v", last, want)
		return false
	}
	return true
}

// TestUpdatesOfThePast sends each update of a versioned table on. An update that changes
// the past reaches streams and tables with versions. What needs the newest row does not
// get it: tables without versions, groups, joins of tables, foreign-key joins, Suppress.
func TestUpdatesOfThePast(t *testing.T) {
	t.Parallel()
	b := topology.New()
	hour := topology.Versioned(time.Hour)
	table := topology.SourceTable(b, "in", serde.String, serde.String, hour, topology.EveryUpdate())
	send := func(t topology.Table[string, string], topic string) { t.Stream().To(topic) }
	pair := func(a, b string) string { return a + "+" + b }
	self := func(string) (string, bool) { return "k", true }

	send(table, "stream")
	send(table.Filter(func(v string) bool { return v != "x" }), "filtered")
	send(table.Stored("past", hour, topology.EveryUpdate()), "versioned")
	send(table.Stream().ToTable("again", topology.WithoutStore()).Stored("newer", topology.EveryUpdate()), "as-they-come")
	send(table.Stored("newest", topology.EveryUpdate()), "stored")
	send(topology.JoinTables(table, table, pair, serde.String), "joined")
	send(topology.JoinForeign(table, table, "foreign", self, pair, serde.String), "foreign")
	send(table.Suppress("held", topology.UntilTimeLimit(time.Millisecond)), "held")
	topology.GroupTable(table, "all", func(string) string { return "all" }, serde.String).Count("n", topology.EveryUpdate()).Stream().To("counts")
	topo := build(t, b)

	d := topologytest.New(t, topo)
	in := topologytest.Input(d, "in", serde.String, serde.String)
	for _, r := range []struct {
		value string
		at    int64
	}{{"a", 10}, {"b", 30}, {"late", 20}, {"c", 40}} {
		in.Send("k", r.value, time.UnixMilli(r.at))
		d.Commit()
	}
	for topic, want := range map[string]string{
		"stream": "a@10 b@30 late@20 c@40", "filtered": "a@10 b@30 late@20 c@40",
		"versioned": "a@10 b@30 late@20 c@40", "as-they-come": "a@10 b@30 late@20 c@40",
		"stored": "a@10 b@30 c@40", "held": "b@30",
		"joined":  "a+a@10 b+b@30 c+c@40",
		"foreign": "a+a@10 b+b@30 c+c@40",
	} {
		var got []string
		for _, r := range d.Topic(topic) {
			if text := fmt.Sprintf("%s@%d", r.Value, int64(r.Timestamp)); len(got) == 0 || got[len(got)-1] != text {
				got = append(got, text)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", topic, got, want)
		}
	}
	for _, r := range topologytest.Output(d, "counts", serde.String, serde.Int64).Records() {
		if r.Value > 1 {
			t.Errorf("%d rows were counted", r.Value)
		}
	}
}

// TestVersionsOfStrangeTimes sends records with timestamps that make no sense to a
// versioned table and to a join that waits. A time in the far future ends the history of
// all rows, and lets all records pass that wait. Rows stay as they are. What comes too
// late for the history is counted as dropped.
func TestVersionsOfStrangeTimes(t *testing.T) {
	t.Parallel()
	b := topology.New()
	table := topology.SourceTable(b, "rows", serde.String, serde.String, topology.Versioned(time.Hour), topology.SkipInvalidTimestamps())
	stream := topology.Source(b, "stream", serde.String, serde.String, topology.SkipInvalidTimestamps())
	topology.LeftJoin(stream, table, func(v, row string, ok bool) string { return fmt.Sprint(v, "+", row, ok) }, serde.String,
		topology.Grace(time.Minute), topology.Named("joined")).To("out")
	topo := build(t, b)
	d := topologytest.New(t, topo)
	send := func(topic, key, value string, at int64) {
		d.Send(topic, 0, []byte(key), []byte(value), processor.Timestamp(at))
		d.Commit()
	}
	expect := func(want ...string) {
		t.Helper()
		var got []string
		for _, r := range d.Topic("out") {
			got = append(got, string(r.Value))
		}
		if !slices.Equal(got, want) {
			t.Errorf("results %q, want %q", got, want)
		}
	}
	const never = 1 << 62 // no calendar has this year
	send("rows", "a", "negative", -5)
	send("rows", "a", "one", 1000)
	send("stream", "a", "negative", -5)
	send("stream", "a", "waits", 2000)
	expect()
	send("stream", "b", "never", never)
	expect("waits+onetrue")
	send("stream", "a", "late", 3000) // is joined at once
	expect("waits+onetrue", "late+onetrue")
	send("rows", "c", "never", never)
	send("rows", "a", "refused", 4000) // the history begins later
	send("stream", "a", "after", 5000) // the newest row of a stays
	expect("waits+onetrue", "late+onetrue", "after+onetrue")
	if got := d.DropReasons(); got["invalid timestamp"] != 2 || got["version older than the history"] != 1 {
		t.Errorf("dropped: %v", got)
	}
}

// TestGraceFailures joins with a function that fails for one of the records that have
// waited. That record has no result. The error names it, and the others are joined.
func TestGraceFailures(t *testing.T) {
	t.Parallel()
	b := topology.New()
	table := topology.SourceTable(b, "rows", serde.String, serde.String, topology.Versioned(time.Hour))
	topology.TryLeftJoin(topology.Source(b, "stream", serde.String, serde.String), table, func(v, _ string, _ bool) (string, error) {
		if v == "bad" {
			return "", errors.New("no bad here")
		}
		return v, nil
	}, serde.String, topology.Grace(time.Second), topology.Named("joined")).To("out")
	topo := build(t, b)
	d := topologytest.New(t, topo, topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.DeadLetter, DeadLetterTopic: "dead"}))
	in := topologytest.Input(d, "stream", serde.String, serde.String)
	in.Send("k", "good", time.UnixMilli(1))
	in.Send("k", "bad", time.UnixMilli(2))
	in.Send("k", "fine", time.UnixMilli(3))
	in.Send("k", "last", time.UnixMilli(5000))
	d.Restart()
	in.Send("k", "more", time.UnixMilli(9000))
	var got []string
	for _, r := range d.Topic("out") {
		got = append(got, string(r.Value))
	}
	if want := []string{"good", "fine", "last"}; !slices.Equal(got, want) {
		t.Errorf("results %q, want %q", got, want)
	}
	dead := d.Topic("dead")
	if len(dead) != 1 || string(dead[0].Value) != "last" {
		t.Fatalf("dead letters %v", dead)
	}
	text, _ := dead[0].Headers.Get(processor.DeadLetterError)
	if want := `the record of topic "stream", partition 0, offset 1, which has waited: no bad here`; string(text) != want {
		t.Errorf("error %q, want %q", text, want)
	}
}
