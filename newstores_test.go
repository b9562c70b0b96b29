package millrace_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

// accepting runs do with Config.StartEmpty.
func (v *versions) accepting(stores []string, do func()) {
	v.empty = stores
	do()
	v.empty = nil
}

// all is a version with the operators of several.
func all(of ...version) version {
	return func(in topology.Stream[string, string]) {
		for _, v := range of {
			v(in)
		}
	}
}

func self(v string) string { return v }

func plus(a, b string) string { return a + b }

// rowsOf reads the topic "more" as a table.
func rowsOf(in topology.Stream[string, string], opts ...topology.SourceTableOption) topology.Table[string, string] {
	return topology.SourceTable(in.Builder(), "more", serde.String, serde.String, opts...)
}

// toTable makes a table of the input.
func toTable(in topology.Stream[string, string]) topology.Table[string, string] {
	return in.ToTable("rows", topology.EveryUpdate())
}

func table(in topology.Stream[string, string]) { toTable(in) }

func tableWithoutStore(in topology.Stream[string, string]) {
	in.ToTable("rows", topology.WithoutStore())
}

func grouped(in topology.Stream[string, string]) {
	topology.GroupTable(toTable(in), "by-value", self, serde.String).Count("groups")
}

func stored(in topology.Stream[string, string]) { toTable(in).Stored("copy") }

func suppressed(in topology.Stream[string, string]) {
	toTable(in).Suppress("held", topology.UntilTimeLimit(time.Hour))
}

func paired(in topology.Stream[string, string]) {
	topology.JoinWindow(in, topology.MapValues(in, self, serde.String), "pairs", topology.Within(time.Minute), plus, serde.String)
}

func leftPaired(in topology.Stream[string, string]) {
	either := func(a, b string, _ bool) string { return a + b }
	topology.LeftJoinWindow(in, topology.MapValues(in, self, serde.String), "pairs", topology.Within(time.Minute), either, serde.String)
}

func pairedWith(in topology.Stream[string, string]) {
	more := topology.Source(in.Builder(), "more", serde.String, serde.String)
	topology.JoinWindow(in, more, "pairs", topology.Within(time.Minute), plus, serde.String)
}

// enriched joins the input with a table of another topic.
func enriched(in topology.Stream[string, string]) {
	topology.Join(in, rowsOf(in), plus, serde.String)
}

// enrichedAsOf joins the input with the versions of its own table.
func enrichedAsOf(opts ...topology.JoinOption) version {
	return func(in topology.Stream[string, string]) {
		topology.Join(in, in.ToTable("rows", topology.Versioned(time.Hour)), plus, serde.String, opts...)
	}
}

func owner(v string) (string, bool) { return v, true }

// rightNew joins the table of the input, as the left one, with that of another topic.
func rightNew(in topology.Stream[string, string]) {
	topology.JoinForeign(toTable(in), rowsOf(in), "owned", owner, plus, serde.String)
}

// leftNew joins the table of another topic, as the left one, with that of the input.
func leftNew(in topology.Stream[string, string]) {
	topology.JoinForeign(rowsOf(in), toTable(in), "owning", owner, plus, serde.String)
}

func countByValue(in topology.Stream[string, string]) {
	topology.GroupBy(in, "by-value", self, serde.String).Count("values")
}

func kept(opts ...state.Option) version {
	return keeps(state.KeyValue("own", serde.String, serde.String, opts...), textToText)
}

// newStores are changes that add stores over processed input.
var newStores = []struct {
	name        string
	before, now version
	stores      []string
}{
	{"the first store", none, count("counts"), []string{"counts"}},
	{"another store", count("counts"), all(count("counts"), kept()), []string{"own"}},
	{"behind a repartition topic", none, countByValue, []string{"values"}},
	{"windows", none, countsIn(topology.Tumbling(time.Minute)), []string{"counts"}},
	{"a table", none, table, []string{"rows"}},
	{"a table that gets a store", tableWithoutStore, table, []string{"rows"}},
	{"groups of a table", table, grouped, []string{"groups"}},
	{"a copy of a table", table, stored, []string{"copy"}},
	{"a join of streams", none, paired, []string{"pairs-left", "pairs-right"}},
	{"a join with a new stream", none, pairedWith, []string{"pairs-left", "pairs-right"}},
	{"a foreign-key join with a new right table", table, rightNew, []string{"owned-subscription-store"}},
	{"a processor's store", none, kept(), []string{"own"}},
	{"a processor's store in memory", none, kept(state.InMemory()), []string{"own"}},
	{"a processor's store without a changelog", none, kept(state.WithoutChangelog()), []string{"own"}},
	{"a batch's store", none, counted(self, serde.String), []string{"every", "values"}},
}

// A store that would lack records is refused, with the disk of the previous version and
// with an empty directory. If it is named once, it starts empty, and need not be named
// again.
func TestNewStoreOverProcessedInput(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		for _, c := range newStores {
			t.Run(fmt.Sprint(c.name, " ", guarantee), func(t *testing.T) {
				t.Parallel()
				v := newVersions(t)
				v.guarantee = guarantee
				v.create("more", 1)
				disk := t.TempDir()
				v.starts(c.before, disk, "some")
				parts := slices.Concat(c.stores, []string{"would start empty", "processed records of in:", "Config.StartEmpty to"})
				for range 2 { // the first refusal must not make the stores known
					v.refused(c.now, disk, parts...)
					v.refused(c.now, t.TempDir(), parts...)
				}
				v.starts(c.before, disk, "more")
				v.accepting(c.stores, func() { v.starts(c.now, disk, "") })
				v.starts(c.now, disk, "again")
				v.starts(c.now, t.TempDir(), "again")
			})
		}
	}
}

// A store is not refused if it gets all records that belong into it.
func TestNewStoreOverNewInput(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		before, now version
	}{
		{"a table of a new topic, joined with an old stream", none, enriched},
		{"a foreign-key join with a new left table", table, leftNew},
		{"a suppression", table, suppressed},
		{"an inner join that becomes a left join", paired, leftPaired},
		{"a join that gets a grace", enrichedAsOf(), enrichedAsOf(topology.Named("enriched"), topology.Grace(time.Second))},
		{"a store that is never kept", none, kept(state.InMemory(), state.WithoutChangelog())},
		{"a count of a new topic", count("counts"), all(count("counts"), func(in topology.Stream[string, string]) {
			topology.GroupByKey(topology.Source(in.Builder(), "more", serde.String, serde.String), "by-more").Count("mores")
		})},
		{"a new topic behind a repartitioning", countByValue, all(countByValue, func(in topology.Stream[string, string]) {
			topology.GroupBy(topology.Source(in.Builder(), "more", serde.String, serde.String), "by-more", self, serde.String).Count("mores")
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := newVersions(t)
			v.create("more", 1)
			disk := t.TempDir()
			v.starts(c.before, disk, "some")
			v.starts(c.now, disk, "more")
			v.starts(c.now, t.TempDir(), "again")
		})
	}
}

// An application that has started and processed nothing gets any store.
func TestNewStoreBeforeTheFirstRecord(t *testing.T) {
	t.Parallel()
	for _, before := range []version{none, count("counts")} {
		v := newVersions(t)
		disk := t.TempDir()
		v.starts(before, disk, "")
		v.starts(all(before, kept()), disk, "some")
	}
}

// With StartAtLatest, records that were there before the first start do not count.
func TestNewStoreOfASourceThatStartsAtLatest(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	v.send("in", "k=before")
	latest := func(of version) *topology.Topology {
		b := topology.New()
		in := topology.Source(b, "in", serde.String, serde.String, topology.StartAtLatest())
		in.To("out")
		of(in)
		return build(t, b)
	}
	idle := run(t, latest(none), v.config(t.TempDir()))
	eventually(t, "it starts at the end", func() bool { return v.committed(v.app, "in", 0) == 1 })
	idle.stop()
	app := run(t, latest(count("counts")), v.config(t.TempDir()))
	v.send("in", "k=some")
	v.read("app-counts-changelog", 1)
	app.stop()
	err := run(t, latest(all(count("counts"), kept())), v.config(t.TempDir())).wait()
	checkRefused(t, err, "own", "processed records of in:")
}

// Among the topics of a pattern, those count that were processed.
func TestNewStoreOfAPattern(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	v.create("in-1", 1)
	reading := func(of version) *topology.Topology {
		b := topology.New()
		in := topology.SourcePattern(b, "ins", `in-.*`, serde.String, serde.String)
		in.To("out")
		of(in)
		return build(t, b)
	}
	app := run(t, reading(none), v.config(t.TempDir()))
	v.create("in-2", 1)
	v.send("in-1", "k=some")
	v.read("out", 1)
	app.stop()
	err := run(t, reading(count("counts")), v.config(t.TempDir())).wait()
	checkRefused(t, err, "counts", "processed records of in-1:")
}

// A release that has added a store is rolled back while the store is empty, and is rolled
// out again. The store lacks the records that were processed in between.
func TestNewStoreAfterARollback(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]version{
		"logged": count("counts"), "on disk only": keeps(state.KeyValue("counts", serde.String, serde.String, state.WithoutChangelog()), textToText),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVersions(t)
			disk := t.TempDir()
			v.starts(store, disk, "")
			v.starts(none, disk, "some")
			v.refused(store, disk, "counts", "Config.StartEmpty to counts")
			v.refused(store, t.TempDir(), "counts", "Config.StartEmpty to counts")
			v.accepting([]string{"counts"}, func() { v.starts(store, disk, "") })
			v.starts(store, disk, "more")
		})
	}
}

// A tool has moved the offsets and removed their metadata. The application has processed
// the input, unless the tool has set the first offset.
func TestNewStoreAfterATool(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	v.send("in", "k=0", "k=1")
	v.setOffset("in", 1)
	v.starts(count("counts"), t.TempDir(), "some")
	v.setOffset("in", 2)
	more := all(count("counts"), kept())
	v.refused(more, t.TempDir(), "own", "processed records of in:")
	v.setOffset("in", 0) // all is processed again
	v.starts(more, t.TempDir(), "more")
}

// setOffset commits an offset of the application as Kafka's tool does.
func (v *versions) setOffset(topic string, at int64) {
	v.t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, at, -1)
	if err := kadm.NewClient(v.cl).CommitAllOffsets(context.Background(), v.app, offsets); err != nil {
		v.t.Fatal(err)
	}
}

// A version with a new store has joined the group before the first record. The version
// without the store then processes some, and ends. The store would lack them.
func TestNewStoreInARollingChange(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	old := run(t, v.build(none), v.config(t.TempDir()))
	eventually(t, "it begins", func() bool { return v.committed(v.app, "in", 0) == 0 })
	joined := run(t, v.build(count("counts")), v.config(t.TempDir()))
	eventually(t, "both are members", func() bool { return len(v.GroupInfo(v.app).Members) == 2 })
	v.send("in", "k=1")
	eventually(t, "the old version processes", func() bool { return v.committed(v.app, "in", 0) > 0 })
	old.stop()
	checkRefused(t, joined.wait(), "counts", "processed records of in:", "Config.StartEmpty to counts")
	v.starts(none, t.TempDir(), "more")
}

// Each name in Config.StartEmpty has a line in the log that says what it does.
func TestStartEmptyIsExplained(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	v.starts(none, t.TempDir(), "some")
	v.accepting([]string{"counts", "unknown"}, func() {
		v.starts(count("counts"), t.TempDir(), "more")
		v.starts(count("counts"), t.TempDir(), "again")
	})
	for _, parts := range [][]string{
		{"level=INFO", "starts empty", "store=counts", "[in]"},
		{"level=INFO", "already has", "store=counts"},
		{"level=WARN", "does not have", "store=unknown"},
	} {
		if !v.log.has(parts...) {
			t.Errorf("the log has no line with %q", parts)
		}
	}
}

// Two processes start an application for the first time. One of them has processed
// records before the other one looks.
func TestNewStoreOfProcessesThatStartTogether(t *testing.T) {
	t.Parallel()
	v := newVersions(t)
	v.send("in", "k=1", "k=2")
	first, second := run(t, v.build(count("counts")), v.config(t.TempDir())), run(t, v.build(count("counts")), v.config(t.TempDir()))
	v.read("out", 2)
	first.stop()
	v.send("in", "k=3")
	v.read("out", 3)
	second.stop()
}
