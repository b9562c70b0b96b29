package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

func both(a, b string) string { return a + "+" + b }

func maybe(a, b string, ok bool) string { return fmt.Sprint(a, "+", b, ok) }

func TestJoin(t *testing.T) {
	t.Parallel()
	stored := func(b *Builder) Table[string, string] { return SourceTable(b, "table", serde.String, serde.String) }
	for name, test := range map[string]struct {
		table func(b *Builder) Table[string, string]
		want  []string
	}{
		"stored": {stored, []string{
			"left k:a+false@1", "left -:n+false@2",
			"inner k:b+y1@1", "left k:b+y1true@1",
			"inner k:c+n@9", "left k:c+ntrue@9",
			"left k:d+false@9",
		}},
		"filtered": {func(b *Builder) Table[string, string] { return stored(b).Filter(startsWithY) }, []string{
			"left k:a+false@1", "left -:n+false@2", "inner k:b+y1@1", "left k:b+y1true@1", "left k:c+false@9", "left k:d+false@9",
		}},
		"filtered, mapped": {func(b *Builder) Table[string, string] {
			return MapTable(stored(b).Filter(startsWithY), strings.ToUpper, serde.String)
		}, []string{
			"left k:a+false@1", "left -:n+false@2", "inner k:b+Y1@1", "left k:b+Y1true@1", "left k:c+false@9", "left k:d+false@9",
		}},
		"made of nothing that is stored": {func(b *Builder) Table[string, string] {
			return SourceTable(b, "table", serde.String, serde.String, WithoutStore()).Filter(startsWithY).Stored("ys")
		}, []string{
			"left k:a+false@1", "left -:n+false@2", "inner k:b+y1@1", "left k:b+y1true@1", "left k:c+false@9", "left k:d+false@9",
		}},
		"joined": {func(b *Builder) Table[string, string] {
			same := stored(b)
			return JoinTables(same, same, both, serde.String)
		}, []string{
			"left k:a+false@1", "left -:n+false@2", "inner k:b+y1+y1@1", "left k:b+y1+y1true@1",
			"inner k:c+n+n@9", "left k:c+n+ntrue@9", "left k:d+false@9",
		}},
	} {
		for mode, opts := range map[string][]graphtest.Option{"merged": nil, "every update": {graphtest.WithEveryUpdate()}} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				b := New()
				s := Source(b, "in", serde.String, serde.String)
				users := test.table(b)
				Join(s, users, both, serde.String).To("inner")
				LeftJoin(s, users, maybe, serde.String).To("left")
				f := run(t, b, opts...)
				f.Feed("in", "k:a@1", "-:n@2", "k:-@3")
				f.Feed("table", "k:y1@5", "l:y2@6")
				f.Feed("in", "k:b@1")
				f.Feed("table", "k:n@4")
				f.Feed("in", "k:c@9")
				f.Feed("table", "k:-@3")
				f.Feed("in", "k:d@9")
				f.Expect(test.want...)
				f.ExpectDrops("in-join: null key", "in-join: null value", "in-leftJoin: null value")
				if got := len(f.Graph.SubTopologies); got != 1 {
					t.Errorf("%d sub-topologies", got)
				}
			})
		}
	}
}

// TestJoinOfWindows joins a windowed stream with a windowed table. The window is part of
// the key.
func TestJoinOfWindows(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	by := GroupByKey(s, "by").Window(Tumbling(ms(10)))
	first := by.Reduce("first", func(a, _ string) string { return a })
	last := by.Reduce("last", func(_, b string) string { return b })
	JoinTables(first.Table, last.Table, both, serde.String).Stream().To("tables")
	Join(first.Stream(), last.Table, both, serde.String).To("stream")
	f := run(t, b)
	f.Feed("in", "k:a@1", "k:b@2", "k:c@11")
	f.Commit()
	f.Feed("in", "k:x@9", "k:d@100", "k:e@12")
	f.Commit()
	got := strings.Join(f.Out(), " ")
	for _, want := range []string{":a+b@2", ":c+c@11", ":d+d@100"} {
		if strings.Count(got, want) != 2 {
			t.Errorf("%s is not sent to both topics: %s", want, got)
		}
	}
	if strings.Contains(got, "x") || strings.Contains(got, "e@") {
		t.Errorf("late records were joined: %s", got)
	}
}

// TestJoinAfterSelectKey: the repartition topic has as many partitions as the table's
// topic, whatever the stream has.
func TestJoinAfterSelectKey(t *testing.T) {
	t.Parallel()
	b := New()
	s := SelectKey(Source(b, "in", serde.String, serde.String), func(r rec) string { return r.Value[:1] }, serde.String)
	Join(s, SourceTable(b, "table", serde.String, serde.String), both, serde.String, Named("known")).To("out")
	f := run(t, b, graphtest.WithEveryUpdate())
	f.Feed("table", "a:A@1")
	f.Feed("in", "k:ax@2", "k:bx@3")
	f.Expect("out a:ax+A@2")
	counts, err := f.Graph.PartitionCounts(func(topic string) (int32, error) { return map[string]int32{"in": 12, "table": 4}[topic], nil })
	if err != nil {
		t.Fatal(err)
	}
	if got := counts[f.Graph.Repartitions[0].Topic]; got != 4 || f.Graph.Repartitions[0].Topic.Name != "known-repartition" {
		t.Errorf("%v has %d partitions", f.Graph.Repartitions[0].Topic, got)
	}
}

// TestUnevenJoin: the topics of both inputs of a join must have the same number of
// partitions.
func TestUnevenJoin(t *testing.T) {
	t.Parallel()
	for name, join := range map[string]func(b *Builder){
		"stream and table": func(b *Builder) {
			Join(Source(b, "in", serde.String, serde.String), SourceTable(b, "table", serde.String, serde.String).Filter(startsWithY), both, serde.String)
		},
		"tables": func(b *Builder) {
			JoinTables(SourceTable(b, "in", serde.String, serde.String), SourceTable(b, "table", serde.String, serde.String), both, serde.String)
		},
		"tables of tables": func(b *Builder) {
			in, table := SourceTable(b, "in", serde.String, serde.String), SourceTable(b, "table", serde.String, serde.String)
			other := SourceTable(b, "other", serde.String, serde.String)
			JoinTables(in, JoinTables(table, other, both, serde.String), both, serde.String)
		},
	} {
		b := New()
		join(b)
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		_, err = topo.g.PartitionCounts(func(topic string) (int32, error) {
			return map[string]int32{"in": 3, "table": 4, "other": 4}[topic], nil
		})
		if err == nil || !strings.Contains(err.Error(), "in has 3") || !strings.Contains(err.Error(), "table has 4") || !strings.Contains(err.Error(), "topology.Repartition") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// TestFailingJoiner: the error policy is asked at the join, and other nodes still get the
// record.
func TestFailingJoiner(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	users := TryMapTable(SourceTable(b, "table", serde.String, serde.String), func(v string) (string, error) {
		if v == "unreadable" {
			return "", errors.New("cannot be mapped")
		}
		return v, nil
	}, serde.String, Named("map"))
	TryJoin(s, users, func(a, b string) (string, error) {
		switch a {
		case "bad":
			return "", errors.New("cannot be joined")
		case "panics":
			panic("joiner")
		}
		return a + "+" + b, nil
	}, serde.String, Named("join")).To("out")
	f := run(t, b, graphtest.WithPolicy(processor.Skip))
	f.Feed("table", "k:u@1", "l:unreadable@1")
	f.Feed("in", "k:bad@2", "k:panics@3", "k:good@4", "l:x@5")
	f.Expect("out k:good+u@4")
	got := strings.Join(f.Failures, "; ")
	for _, want := range []string{"join: process: cannot be joined", "join: process: panic: joiner", "join: process: cannot be mapped"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in the failures %s", want, got)
		}
	}
}

// TestJoinKeepsWhatItRead: an aggregate is changed in place after a join has read it. A
// store below the join keeps the earlier value.
func TestJoinKeepsWhatItRead(t *testing.T) {
	t.Parallel()
	for mode, opts := range map[string][]graphtest.Option{"merged": nil, "every update": {graphtest.WithEveryUpdate()}} {
		b := New()
		s := Source(b, "in", serde.String, serde.String)
		sets := Aggregate(GroupByKey(Source(b, "sets", serde.String, serde.String), "by"), "sets-table",
			func() map[string]int { return map[string]int{} },
			func(set map[string]int, r rec) map[string]int { set[r.Value]++; return set }, serde.JSON[map[string]int]())
		Join(s, sets, func(_ string, set map[string]int) map[string]int { return set }, serde.JSON[map[string]int]()).
			ToTable("joined").Stream().To("out")
		f := run(t, b, opts...)
		f.Feed("sets", "k:a@1")
		f.Feed("in", "k:x@2")
		f.Feed("sets", "k:b@3")
		f.Commit()
		f.Expect(`out k:{"a":1}@2`)
		if t.Failed() {
			t.Log(mode)
		}
	}
}

func TestJoinProblems(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	bare := SourceTable(b, "bare", serde.String, serde.String, WithoutStore())
	users := SourceTable(b, "table", serde.String, serde.String)
	Join(s, bare.Filter(startsWithY), both, serde.String, Named("bare-join"))
	Join[string, string, string, string](s, users, nil, serde.String, Named("nil-join"))
	Join(SelectKey(s, func(r rec) string { return r.Value }, serde.String), users, both, serde.String)
	Join(s, SourceTable(b, "json", serde.JSON[string](), serde.String), both, serde.String, Named("json-join"))
	LeftJoin(s, SourceTable(New(), "other", serde.String, serde.String), maybe, serde.String, Named("far-join"))
	JoinTables(users, bare, both, serde.String, Named("bare-tables"))
	JoinTables(users, SourceTable(New(), "other", serde.String, serde.String), both, serde.String, Named("far-tables"))
	self := JoinTables(users, users.Filter(startsWithY), both, serde.String, Named("self"))
	GroupTable(self, "by-letter", firstLetter, serde.String).Count("n")
	_, err := b.Build()
	for _, want := range []string{
		`join "bare-join": table "bare-filter" has no store, so its rows cannot be looked up: remove WithoutStore where table "bare-table" is made, or call Stored on the table first`,
		`join "nil-join": the function is nil`,
		`the key may have changed, so the records have to go through the topic <app>-<name>-repartition: give the join a name`,
		`join "json-join": the keys have the serdes`,
		`leftJoin "far-join": was given a handle of another Builder`,
		`joinTables "bare-tables-left": table "bare-table" has no store`,
		`joinTables "far-tables": was given a handle of another Builder`,
		`groupTable "by-letter": the table has no store, so its old values cannot be subtracted: call Stored on the table first`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error %v", want, err)
		}
	}
}

// TestJoinOfFixedTopics: Build checks partition counts that the topology fixes.
func TestJoinOfFixedTopics(t *testing.T) {
	t.Parallel()
	b := New()
	s := Repartition(Source(b, "in", serde.String, serde.String), "by-user", Partitions(3))
	users := Repartition(Source(b, "table", serde.String, serde.String), "users", Partitions(4)).ToTable("users-table")
	Join(s, users, both, serde.String)
	_, err := b.Build()
	if want := "by-user-repartition has 3, users-repartition has 4"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestJoinOfClosedWindows: for a join, too, a Final table has the rows of closed windows
// only.
func TestJoinOfClosedWindows(t *testing.T) {
	t.Parallel()
	b := New()
	by := GroupByKey(Source(b, "in", serde.String, serde.String), "by")
	closed := by.Window(Tumbling(ms(10))).Reduce("closed", func(a, _ string) string { return a }).Final()
	open := by.Window(Tumbling(ms(10)).Grace(ms(100))).Reduce("open", func(_, b string) string { return b }, EveryUpdate())
	LeftJoin(open.Stream(), closed.Table, maybe, serde.String).To("out")
	f := run(t, b)
	f.Feed("in", "k:a@1", "k:b@10", "k:c@5") // the first window is closed at 10
	var got []string
	for _, out := range f.Sent {
		got = append(got, string(out.Value))
	}
	if want := []string{"a+false", "b+false", "c+atrue"}; !slices.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}
}
