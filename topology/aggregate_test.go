package topology

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

func concat(a, b string) string { return a + b }

// appendUnless returns an aggregator that appends values, and deletes the row at the
// value x.
func appendUnless(x string) func(*string, rec) *string {
	return func(agg *string, r rec) *string {
		if r.Value == x {
			return nil
		}
		next := *agg + r.Value
		return &next
	}
}

func emptyString() *string { return new(string) }

// TestAggregations sends records through one aggregation on a stream, forwarding every
// update.
func TestAggregations(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		build func(g Grouped[string, string])
		in    []string
		out   []string
		drops []string
	}{
		"count": {
			func(g Grouped[string, string]) { counted(g, "t").Stream().To("out") },
			[]string{"a:x@1", "b:x@2", "a:y@3", "a:z@2"},
			[]string{"out a:1@1", "out b:1@2", "out a:2@3", "out a:3@3"},
			nil,
		},
		"count drops nulls": {
			func(g Grouped[string, string]) { counted(g, "t").Stream().To("out") },
			[]string{"-:x@1", "b:-@2", "-:-@3", "b:x@4"},
			[]string{"out b:1@4"},
			[]string{"t: null key", "t: null value", "t: null key"},
		},
		"reduce": {
			func(g Grouped[string, string]) { g.Reduce("t", concat).Stream().To("out") },
			[]string{"a:x@5", "a:y@3", "b:-@2", "a:z@7"},
			[]string{"out a:x@5", "out a:xy@5", "out a:xyz@7"},
			[]string{"t: null value"},
		},
		"tryReduce": {
			func(g Grouped[string, string]) {
				g.TryReduce("t", func(a, b string) (string, error) {
					if b == "bad" {
						return "lost", errors.New("bad")
					}
					return a + b, nil
				}).Stream().To("out")
			},
			[]string{"a:x@5", "a:bad@6", "a:y@3"},
			[]string{"out a:x@5", "out a:xy@5"},
			nil,
		},
		"aggregate": {
			func(g Grouped[string, string]) {
				Aggregate(g, "t", func() string { return "0" }, func(agg string, r rec) string { return agg + r.Key + r.Value }, serde.String).Stream().To("out")
			},
			[]string{"a:x@1", "a:y@2"},
			[]string{"out a:0ax@1", "out a:0axay@2"},
			nil,
		},
		"tryAggregate": {
			func(g Grouped[string, string]) {
				TryAggregate(g, "t", func() int64 { return 10 }, func(agg int64, r rec) (int64, error) {
					n, err := atoi(r.Value)
					return agg + n, err
				}, text[int64]{}).Stream().To("out")
			},
			[]string{"a:1@1", "a:x@2", "a:2@3"},
			[]string{"out a:11@1", "out a:13@3"},
			nil,
		},
		"absent aggregate deletes": {
			func(g Grouped[string, string]) {
				Aggregate(g, "t", emptyString, appendUnless("x"), serde.Nullable(serde.String)).Stream().To("out")
			},
			[]string{"k:x@1", "k:a@9", "k:b@5", "k:x@10", "k:c@3"},
			[]string{"out k:-@1", "out k:a@9", "out k:ab@9", "out k:-@10", "out k:c@3"},
			nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New()
			test.build(GroupByKey(Source(b, "in", serde.String, serde.String), "by-key"))
			f := run(t, b, graphtest.WithPolicy(processor.Skip), graphtest.WithEveryUpdate())
			f.Feed("in", test.in...)
			f.Expect(test.out...)
			f.ExpectDrops(test.drops...)
		})
	}
}

// counted is Grouped.Count with readable output.
func counted[K, V any](g Grouped[K, V], name string, opts ...TableOption) Table[K, int64] {
	return Aggregate(g, name, func() int64 { return 0 }, func(n int64, _ processor.Record[K, V]) int64 { return n + 1 }, text[int64]{}, opts...)
}

// TestMergedUpdates forwards one update per row and commit, in order of the first change,
// with the timestamp and headers of the last.
func TestMergedUpdates(t *testing.T) {
	t.Parallel()
	b := New()
	g := GroupByKey(Source(b, "in", serde.String, serde.String), "by-key")
	counted(g, "merged").Stream().To("merged")
	counted(g, "each", EveryUpdate()).Stream().To("each")
	Aggregate(g, "deleting", emptyString, appendUnless("x"), serde.Nullable(serde.String)).Stream().To("deleting")
	f := run(t, b)

	for _, in := range []graph.Input{graphtest.Parse("b:1@5"), graphtest.Parse("a:2@9"), graphtest.Parse("b:3@4"), graphtest.Parse("c:x@6"), graphtest.Parse("d:1@1"), graphtest.Parse("d:x@2")} {
		in.Topic = "in"
		in.Headers = processor.Headers{{Key: string(in.Value)}}
		if err := f.Process(in); err != nil {
			t.Fatal(err)
		}
	}
	f.Expect("each b:1@5", "each a:1@9", "each b:2@5", "each c:1@6", "each d:1@1", "each d:2@2")
	f.Commit()
	headers := make([]string, 0, len(f.Sent))
	for _, o := range f.Sent {
		headers = append(headers, o.Headers[0].Key)
	}
	if got := strings.Join(headers, " "); got != "3 2 x x 3 2" {
		t.Errorf("headers %q", got)
	}
	f.Expect("merged b:2@5", "merged a:1@9", "merged c:1@6", "merged d:2@2", "deleting b:13@5", "deleting a:2@9")

	f.Commit()
	f.Expect()

	f.Feed("in", "a:x@10", "b:x@11", "b:n@12")
	f.Out()
	f.Commit()
	f.Expect("merged a:2@10", "merged b:4@12", "deleting a:-@10", "deleting b:n@12")
}

// TestGroupBy repartitions, and shares the repartition topic.
func TestGroupBy(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	g := GroupBy(s, "by-length", func(v string) int64 { return int64(len(v)) }, text[int64]{})
	counted(g, "n").Stream().To("n")
	g.Reduce("all", concat).Stream().To("all")
	byNull := GroupByRecord(s, "by-null", func(r rec) (*string, error) {
		if r.Key == "" {
			return nil, nil
		}
		return &r.Key, nil
	}, serde.Nullable(serde.String))
	counted(byNull, "keys").Stream().To("keys")
	f := run(t, b, graphtest.WithEveryUpdate())
	f.Feed("in", "a:xx@1", "-:yy@2", "b:-@3")
	f.Expect("n 2:1@1", "all 2:xx@1", "keys a:1@1", "n 2:2@2", "all 2:xxyy@2")
	f.ExpectDrops("by-null-repartition-filter: null key", "n: null value", "all: null value", "keys: null value")
	if n := len(f.Graph.Repartitions); n != 2 {
		t.Errorf("%d repartition topics", n)
	}
}

// TestGroupByKeyRepartitions repartitions exactly where the key may have changed.
func TestGroupByKeyRepartitions(t *testing.T) {
	t.Parallel()
	same := func(r rec) rec { return r }
	tests := map[string]struct {
		stream func(s Stream[string, string]) Stream[string, string]
		want   int
	}{
		"source":    {func(s Stream[string, string]) Stream[string, string] { return s }, 0},
		"filter":    {func(s Stream[string, string]) Stream[string, string] { return s.Filter(startsWithH) }, 0},
		"mapValues": {func(s Stream[string, string]) Stream[string, string] { return MapValues(s, upper, serde.String) }, 0},
		"flatMapValues": {func(s Stream[string, string]) Stream[string, string] {
			return FlatMapValues(s, strings.Fields, serde.String)
		}, 0},
		"branch": {func(s Stream[string, string]) Stream[string, string] { return s.Branch("b", Default[string]("d"))[0] }, 0},
		"map":    {func(s Stream[string, string]) Stream[string, string] { return Map(s, same, serde.String, serde.String) }, 1},
		"flatMap": {func(s Stream[string, string]) Stream[string, string] {
			return FlatMap(s, func(r rec) []rec { return []rec{r} }, serde.String, serde.String)
		}, 1},
		"selectKey": {func(s Stream[string, string]) Stream[string, string] {
			return SelectKey(s, func(r rec) string { return r.Value }, serde.String)
		}, 1},
		"process": {func(s Stream[string, string]) Stream[string, string] {
			return Process(s, "p", func() *failingProcessor { return &failingProcessor{} }, serde.String, serde.String)
		}, 1},
		"merge": {func(s Stream[string, string]) Stream[string, string] {
			return s.Merge(SelectKey(s, func(r rec) string { return r.Value }, serde.String)).Filter(startsWithH)
		}, 1},
		"after a repartition": {func(s Stream[string, string]) Stream[string, string] {
			return MapValues(Repartition(Map(s, same, serde.String, serde.String), "r"), upper, serde.String)
		}, 1},
		"table": {func(s Stream[string, string]) Stream[string, string] {
			return GroupByKey(s, "g").Reduce("t", concat).Stream()
		}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New()
			GroupByKey(test.stream(Source(b, "in", serde.String, serde.String)), "by-key").Count("n")
			topo, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			if got := len(topo.g.Repartitions); got != test.want {
				t.Errorf("%d repartition topics, want %d", got, test.want)
			}
		})
	}
}

// TestAggregatorMayChangeItsArgument keeps a slice that grows in place.
func TestAggregatorMayChangeItsArgument(t *testing.T) {
	t.Parallel()
	b := New()
	g := GroupByKey(Source(b, "in", serde.String, serde.String), "by-key")
	Aggregate(g, "t", func() map[string]int { return map[string]int{} }, func(agg map[string]int, r rec) map[string]int {
		agg[r.Value]++
		return agg
	}, serde.JSON[map[string]int]()).Stream().To("out")
	f := run(t, b)
	f.Feed("in", "k:a@1", "k:b@2", "k:a@3")
	f.Commit()
	f.Expect(`out k:{"a":2,"b":1}@3`)
	f.Feed("in", "k:b@4")
	f.Commit()
	f.Expect(`out k:{"a":2,"b":2}@4`)
}

// TestAggregateIsCommitted reads a table's changelog.
func TestAggregateIsCommitted(t *testing.T) {
	t.Parallel()
	b := New()
	counted(GroupByKey(Source(b, "in", serde.String, serde.String), "by-key"), "n")
	f := run(t, b)
	f.Feed("in", "k:a@1", "k:b@2")
	f.Commit()
	log := f.Stores.Changelog("n")
	if len(log) != 1 || string(log[0].Key) != "k" || string(log[0].Value) != "2" || log[0].Timestamp != 2 {
		t.Errorf("changelog %v", log)
	}
}

func TestCountIsInt64(t *testing.T) {
	t.Parallel()
	b := New()
	MapValues(GroupByKey(Source(b, "in", serde.String, serde.String), "by-key").Count("n").Stream(),
		func(n int64) string { return strconv.FormatInt(n, 10) }, serde.String).To("out")
	f := run(t, b)
	f.Feed("in", "k:a@1", "k:b@2")
	f.Commit()
	f.Expect("out k:2@2")
}

// TestDeletionIsLoggedAtItsOwnTime has a deletion that is older than its row. As in Kafka
// Streams, the forwarded record has the larger time.
func TestDeletionIsLoggedAtItsOwnTime(t *testing.T) {
	t.Parallel()
	b := New()
	g := GroupByKey(Source(b, "in", serde.String, serde.String), "by-key")
	optional := serde.Nullable(serde.String)
	Aggregate(g, "plain", emptyString, appendUnless("x"), optional).Stream().To("out")
	AggregateWindows(g.Window(Tumbling(ms(10))), "windowed", emptyString, appendUnless("x"), optional)
	f := run(t, b, graphtest.WithEveryUpdate())
	f.Feed("in", "k:a@9", "k:x@5")
	f.Expect("out k:a@9", "out k:-@9")
	for _, store := range []string{"plain", "windowed"} {
		if logged := f.Stores.Pending(store); len(logged) != 2 || logged[0].Timestamp != 9 || logged[1].Timestamp != 5 || logged[1].Value != nil {
			t.Errorf("%s logged %+v", store, logged)
		}
	}
}
