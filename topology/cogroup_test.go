package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// numbered is a record of the second input of the tests.
type numbered = processor.Record[string, int64]

func addText(agg string, r rec) string { return agg + "L" + r.Value }

func addNumber(agg string, r numbered) (string, error) {
	if r.Value < 0 {
		return "lost", errors.New("negative")
	}
	return agg + "R" + strings.Repeat("1", int(r.Value)), nil
}

func emptyText() string { return "" }

// twoInputs returns a cogroup of texts and numbers.
func twoInputs(b *Builder) Cogrouped[string, string] {
	left := GroupByKey(Source(b, "left", serde.String, serde.String), "lefts")
	right := GroupByKey(Source(b, "right", serde.String, serde.Serde[int64](text[int64]{})), "rights")
	return Cogroup(Fold(left, addText), TryFold(right, addNumber))
}

// fed is a record of a topic.
type fed struct{ topic, record string }

func left(r string) fed  { return fed{"left", r} }
func right(r string) fed { return fed{"right", r} }

// TestCogroups sends records of two inputs through cogroups, forwarding every update.
func TestCogroups(t *testing.T) {
	t.Parallel()
	second := Tumbling(ms(10))
	tests := map[string]struct {
		build func(b *Builder)
		in    []fed
		out   []string
		drops []string
	}{
		"one row for both": {
			func(b *Builder) { twoInputs(b).Aggregate("t", emptyText, serde.String).Stream().To("out") },
			[]fed{left("a:x@1"), right("a:2@5"), left("b:y@3"), left("a:z@2")},
			[]string{"out a:Lx@1", "out a:LxR11@5", "out b:Ly@3", "out a:LxR11Lz@5"},
			nil,
		},
		"nulls are dropped": {
			func(b *Builder) { twoInputs(b).Aggregate("t", emptyText, serde.String).Stream().To("out") },
			[]fed{left("-:x@1"), right("a:-@5"), right("-:1@5")},
			nil,
			[]string{"t: null key", "t: null value", "t: null key"},
		},
		"a failing function changes nothing": {
			func(b *Builder) { twoInputs(b).Aggregate("t", emptyText, serde.String).Stream().To("out") },
			[]fed{left("a:x@1"), right("a:-1@5"), right("a:1@6")},
			[]string{"out a:Lx@1", "out a:LxR1@6"},
			nil,
		},
		"an absent aggregate deletes": {
			func(b *Builder) {
				l := GroupByKey(Source(b, "left", serde.String, serde.String), "lefts")
				r := GroupByKey(Source(b, "right", serde.String, serde.String), "rights")
				add := appendUnless("x")
				Cogroup(Fold(l, add), Fold(r, add)).Aggregate("t", emptyString, serde.Nullable(serde.String)).Stream().To("out")
			},
			[]fed{left("k:a@9"), right("k:x@10"), left("k:c@3")},
			[]string{"out k:a@9", "out k:-@10", "out k:c@3"},
			nil,
		},
		"each input has its stream time": {
			func(b *Builder) { perWindow(twoInputs(b).Window(second)) },
			[]fed{left("a:x@25"), right("a:1@5"), right("a:1@12"), right("a:2@3"), left("a:y@3")},
			[]string{"out a/20/30:Lx@25", "out a/0/10:R1@5", "out a/10/20:R1@12"},
			[]string{"t: late record", "t: late record"},
		},
		"but only within the lag": {
			func(b *Builder) { perWindow(twoInputs(b).Window(second)) },
			[]fed{left("a:x@60025"), right("a:1@5"), right("a:1@19"), right("a:1@25"), right("a:1@19")},
			[]string{"out a/60020/60030:Lx@60025", "out a/20/30:R1@25"},
			[]string{"t: late record", "t: late record", "t: late record"},
		},
		"the retention is the lag": {
			func(b *Builder) { perWindow(twoInputs(b).Window(second), Retention(ms(30))) },
			[]fed{left("a:x@45"), right("a:1@15"), right("a:1@19"), right("a:1@25")},
			[]string{"out a/40/50:Lx@45", "out a/20/30:R1@25"},
			[]string{"t: late record", "t: late record"},
		},
		"sessions of both": {
			func(b *Builder) {
				show(twoInputs(b).Sessions(ms(5)).Aggregate("t", emptyText, concat, serde.String), "out", serde.String)
			},
			[]fed{left("a:x@10"), right("a:1@15"), right("a:-@30")},
			[]string{"out a/10/10:Lx@10", "out a/10/10:-@10", "out a/10/15:LxR1@15", "out a/30/30:R@30"},
			nil,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New()
			test.build(b)
			f := run(t, b, graphtest.WithPolicy(processor.Skip), graphtest.WithEveryUpdate())
			for _, r := range test.in {
				f.Feed(r.topic, r.record)
			}
			f.Expect(test.out...)
			f.ExpectDrops(test.drops...)
		})
	}
}

func perWindow(w WindowedCogroup[string, string], opts ...WindowedTableOption) {
	show(w.Aggregate("t", emptyText, serde.String, opts...), "out", serde.String)
}

// TestBadCogroups checks what Build says about mistakes.
func TestBadCogroups(t *testing.T) {
	t.Parallel()
	b := New()
	l := GroupByKey(Source(b, "left", serde.String, serde.String), "lefts")
	r := GroupByKey(Source(b, "right", serde.Bytes, serde.String), "rights")
	other := GroupByKey(Source(New(), "other", serde.String, serde.String), "others")
	Cogroup(Fold(l, addText), Fold(l, addText), Fold(other, addText)).Aggregate("twice", nil, serde.String)
	Cogroup(Fold[string, string, string](l, nil)).Sessions(-1).Aggregate("bad", emptyText, nil, serde.String)
	Cogroup(Fold(r, func(a string, _ processor.Record[[]byte, string]) string { return a })).Window(Windows{}).Aggregate("zero", emptyText, nil)
	_, err := b.Build()
	for _, want := range []string{
		`cogroup "twice": was given the grouping "lefts" twice: fold its records with one function`,
		`cogroup "twice": was given a handle of another Builder`,
		`cogroup "twice": the function is nil`,
		`cogroup "bad": the gap -1ns must not be negative`,
		`cogroup "bad": the function is nil`,
		`cogroup "zero": the Windows are the zero value`,
		`cogroup "zero": needs a serde for its values`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Build returns\n%v\nwithout %q", err, want)
		}
	}
}

// TestCogroupOfOtherKeys joins keys of two encodings.
func TestCogroupOfOtherKeys(t *testing.T) {
	t.Parallel()
	b := New()
	l := GroupByKey(Source(b, "left", serde.String, serde.String), "lefts")
	r := GroupByKey(Source(b, "right", serde.JSON[string](), serde.String), "rights")
	Cogroup(Fold(l, addText), Fold(r, addText)).Aggregate("t", emptyText, serde.String)
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), `cogroup "t": the keys have the serdes string and`) {
		t.Errorf("Build returns %v", err)
	}
}

// TestCogroupOfManyInputs has a repartition topic for each grouping, and more stream
// times than the metadata of an offset takes.
func TestCogroupOfManyInputs(t *testing.T) {
	t.Parallel()
	b := New()
	const many = 60
	var inputs []Folded[string, string]
	for i := range many {
		in := Source(b, fmt.Sprint("in-", i), serde.String, serde.String)
		inputs = append(inputs, Fold(GroupBy(in, fmt.Sprint("a-grouping-with-a-long-name-", i), first, serde.String), addText))
	}
	Cogroup(inputs[0], inputs[1:]...).Window(Tumbling(ms(10))).Aggregate("t", emptyText, serde.String)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(topo.g.Repartitions); n != many {
		t.Errorf("%d repartition topics", n)
	}
	last := topo.g.SubTopologies[len(topo.g.SubTopologies)-1]
	if i := slices.IndexFunc(topo.g.SubTopologies, func(s *graph.SubTopology) bool { return len(s.Sources) == many }); i < 0 {
		t.Errorf("no sub-topology reads all topics: the last one reads %v", last.Sources)
	} else if stores := topo.g.SubTopologies[i].Stores; len(stores) != 2 || !stores[1].Own {
		t.Errorf("stores %v, want one more for the times", stores)
	}
}

func first(s string) string { return s[:1] }

// TestCogroupIsCoPartitioned: without a repartitioning, the topics of all inputs need
// equally many partitions.
func TestCogroupIsCoPartitioned(t *testing.T) {
	t.Parallel()
	b := New()
	twoInputs(b).Aggregate("t", emptyText, serde.String)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	want := []graph.Topic{{Name: "left"}, {Name: "right"}}
	if got := topo.g.SubTopologies[0].CoPartitioned; len(got) != 1 || !slices.Equal(got[0], want) {
		t.Errorf("co-partitioned are %v, want %v", got, want)
	}
}

// BenchmarkCogroup is the cost of a record of a cogroup whose row is in memory. The only
// allocation is that of the test's task.
func BenchmarkCogroup(b *testing.B) {
	builder := New()
	l := GroupByKey(Source(builder, "left", serde.String, serde.Int64), "lefts")
	r := GroupByKey(Source(builder, "right", serde.String, serde.Int64), "rights")
	add := func(sum int64, r numbered) int64 { return sum + r.Value }
	Cogroup(Fold(l, add), Fold(r, add)).Aggregate("t", func() int64 { return 0 }, serde.Int64)
	f := run(b, builder)
	in := graph.Input{Topic: "right", Key: []byte("a"), Value: make([]byte, 8)}
	b.ReportAllocs()
	for b.Loop() {
		if err := f.Process(in); err != nil {
			b.Fatal(err)
		}
	}
}
