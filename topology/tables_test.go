package topology

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

func startsWithY(v string) bool { return strings.HasPrefix(v, "y") }

// TestTables feeds tables with updates, repeated and old ones, with deletions of present
// and absent rows, and with a record without a key.
func TestTables(t *testing.T) {
	t.Parallel()
	in := []string{"a:n1@10", "a:y1@20", "a:y2@5", "b:n@6", "b:-@7", "z:-@8", "-:x@9", "a:n2@30", "a:-@25"}
	for name, test := range map[string]struct {
		build  func(b *Builder) Table[string, string]
		every  []string // with every update
		merged []string // in one commit
	}{
		"source": {
			func(b *Builder) Table[string, string] { return SourceTable(b, "in", serde.String, serde.String) },
			[]string{"a:n1@10", "a:y1@20", "a:y2@5", "b:n@6", "b:-@7", "z:-@8", "a:n2@30", "a:-@25"},
			nil, // all rows were created and deleted
		},
		"source without store": {
			func(b *Builder) Table[string, string] {
				return SourceTable(b, "in", serde.String, serde.String, WithoutStore())
			},
			[]string{"a:n1@10", "a:y1@20", "a:y2@5", "b:n@6", "b:-@7", "z:-@8", "a:n2@30", "a:-@25"},
			[]string{"a:n1@10", "a:y1@20", "a:y2@5", "b:n@6", "b:-@7", "z:-@8", "a:n2@30", "a:-@25"},
		},
		"toTable": {
			func(b *Builder) Table[string, string] {
				return Source(b, "in", serde.String, serde.String).ToTable("t")
			},
			[]string{"a:n1@10", "a:y1@20", "a:y2@5", "b:n@6", "b:-@7", "z:-@8", "a:n2@30", "a:-@25"},
			nil,
		},
		"filter": {
			func(b *Builder) Table[string, string] {
				return SourceTable(b, "in", serde.String, serde.String).Filter(startsWithY)
			},
			[]string{"a:y1@20", "a:y2@5", "a:-@30"},
			nil,
		},
		"filter without store": {
			func(b *Builder) Table[string, string] {
				return SourceTable(b, "in", serde.String, serde.String, WithoutStore()).Filter(startsWithY)
			},
			[]string{"a:-@10", "a:y1@20", "a:y2@5", "b:-@6", "b:-@7", "z:-@8", "a:-@30", "a:-@25"},
			[]string{"a:-@10", "a:y1@20", "a:y2@5", "b:-@6", "b:-@7", "z:-@8", "a:-@30", "a:-@25"},
		},
		"filterNot": {
			func(b *Builder) Table[string, string] {
				return SourceTable(b, "in", serde.String, serde.String).FilterNot(startsWithY)
			},
			[]string{"a:n1@10", "a:-@20", "b:n@6", "b:-@7", "a:n2@30", "a:-@25"},
			nil,
		},
		"mapValues": {
			func(b *Builder) Table[string, string] {
				return MapTable(SourceTable(b, "in", serde.String, serde.String), strings.ToUpper, serde.String)
			},
			[]string{"a:N1@10", "a:Y1@20", "a:Y2@5", "b:N@6", "b:-@7", "z:-@8", "a:N2@30", "a:-@25"},
			nil,
		},
		"filter of mapValues": {
			func(b *Builder) Table[string, string] {
				upper := MapTableRecord(SourceTable(b, "in", serde.String, serde.String),
					func(r rec) (string, error) { return strings.ToUpper(r.Value), nil }, serde.String)
				return upper.FilterRecord(func(r rec) (bool, error) { return r.Value[0] == 'Y', nil })
			},
			[]string{"a:Y1@20", "a:Y2@5", "a:-@30"},
			nil,
		},
		"stored": {
			func(b *Builder) Table[string, string] {
				return SourceTable(b, "in", serde.String, serde.String, WithoutStore()).TryFilter(
					func(v string) (bool, error) { return startsWithY(v), nil }).Stored("ys")
			},
			[]string{"a:-@10", "a:y1@20", "a:y2@5", "b:-@6", "b:-@7", "z:-@8", "a:-@30", "a:-@25"},
			nil,
		},
	} {
		for mode, want := range map[string][]string{"every update": test.every, "merged": test.merged} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				b := New()
				test.build(b).Stream().To("out")
				var opts []graphtest.Option
				if mode == "every update" {
					opts = append(opts, graphtest.WithEveryUpdate())
				}
				f := run(t, b, opts...)
				f.Feed("in", in...)
				f.Commit()
				f.Expect(toTopic("out", want)...)
			})
		}
	}
}

func toTopic(topic string, records []string) (out []string) {
	for _, r := range records {
		out = append(out, topic+" "+r)
	}
	return out
}

// TestMergedTables: the updates of a row between two commits are merged into one, with
// the timestamp of the last record.
func TestMergedTables(t *testing.T) {
	t.Parallel()
	b := New()
	users := SourceTable(b, "in", serde.String, serde.String)
	users.Stream().To("all")
	MapTable(users.Filter(startsWithY), strings.ToUpper, serde.String).Stream().To("ys")
	f := run(t, b)
	f.Feed("in", "a:n@9", "a:y1@7", "b:n@3")
	f.Commit()
	f.Expect("all a:y1@7", "ys a:Y1@7", "all b:n@3")
	f.Feed("in", "a:n@10", "a:y2@8", "b:-@4", "c:y@1", "c:-@2")
	f.Commit()
	f.Expect("all a:y2@8", "ys a:Y2@8", "all b:-@4")
	f.Feed("in", "a:n@10")
	f.Commit()
	f.Expect("all a:n@10", "ys a:-@10")
}

func TestToTableAfterSelectKey(t *testing.T) {
	t.Parallel()
	b := New()
	s := SelectKey(Source(b, "in", serde.String, serde.String), func(r rec) string { return r.Value[:1] }, serde.String)
	s.ToTable("firsts").Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate())
	f.Feed("in", "k:ax@1", "l:bx@2", "m:ay@3")
	f.Expect("out a:ax@1", "out b:bx@2", "out a:ay@3")
	if names := f.Graph.Stores[0].Name; len(f.Graph.Repartitions) != 1 || names != "firsts" {
		t.Errorf("repartition topics %v, store %s", f.Graph.Repartitions, names)
	}
}

// TestFailingTableFunctions: if the error is skipped, the row is absent in the result.
func TestFailingTableFunctions(t *testing.T) {
	t.Parallel()
	fails := errors.New("fails")
	check := func(v string) (string, error) {
		if v == "bad" {
			return "", fails
		}
		return v, nil
	}
	b := New()
	users := SourceTable(b, "in", serde.String, serde.String)
	TryMapTable(users, check, serde.String, Named("map")).Stored("mapped").Stream().To("mapped")
	users.TryFilter(func(v string) (bool, error) { _, err := check(v); return true, err }, Named("filter")).Stream().To("filtered")
	f := run(t, b, graphtest.WithEveryUpdate(), graphtest.WithPolicy(processor.Skip))
	f.Feed("in", "a:x@1", "a:bad@2", "a:y@3")
	// The filter is also asked about the old row of the third record.
	f.Expect("mapped a:x@1", "filtered a:x@1", "mapped a:-@2", "filtered a:-@2", "mapped a:y@3", "filtered a:y@3")
	if got := strings.Join(f.Failures, "; "); got != "map: process: fails; filter: process: fails; filter: process: the row before the update: fails" {
		t.Errorf("failures %s", got)
	}
}

func TestTableProblems(t *testing.T) {
	t.Parallel()
	b := New()
	SourceTable(b, "in", serde.String, serde.String, WithoutStore(), InMemory())
	s := Source(b, "other", serde.String, serde.String)
	s.ToTable("")
	MapTable(s.ToTable("t"), strings.ToUpper, nil).Stored("u")
	s.ToTable("v").Filter(nil)
	_, err := b.Build()
	for _, want := range []string{
		`table "in-table": has WithoutStore together with an option of a store`,
		"needs a name, which names its table, store and changelog",
		`stored "u": needs a serde for its values`,
		"the function is nil",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error %v", want, err)
		}
	}
}

// TestStoresBelowAnAggregateThatIsChangedInPlace: a store keeps the value that it was
// sent, even if the aggregate changes later.
func TestStoresBelowAnAggregateThatIsChangedInPlace(t *testing.T) {
	t.Parallel()
	for mode, opts := range map[string][]graphtest.Option{"merged": nil, "every update": {graphtest.WithEveryUpdate()}} {
		b := New()
		sets := Aggregate(GroupByKey(Source(b, "in", serde.String, serde.String), "by"), "sets",
			func() map[string]int { return map[string]int{} },
			func(set map[string]int, r rec) map[string]int { set[r.Value]++; return set },
			serde.JSON[map[string]int]())
		// The first set of a key stays, because the reduce always takes the older value.
		GroupByKey(sets.Stream(), "again").Reduce("first", func(a, _ map[string]int) map[string]int { return a }).Stream().To("out")
		f := run(t, b, opts...)
		f.Feed("in", "k:a@1")
		f.Commit()
		f.Feed("in", "k:b@2")
		f.Commit()
		f.Expect(`out k:{"a":1}@1`, `out k:{"a":1}@2`)
		if t.Failed() {
			t.Log(mode)
		}
	}
}
