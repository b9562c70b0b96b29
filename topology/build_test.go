package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/windowstore"
)

// TestBuildErrors makes one or two mistakes and compares the whole text.
func TestBuildErrors(t *testing.T) {
	t.Parallel()
	source := func(b *Builder) Stream[string, string] { return Source(b, "in", serde.String, serde.String) }
	grouped := func(b *Builder) Grouped[string, string] { return GroupByKey(source(b), "by-key") }
	newP := func() *failingProcessor { return &failingProcessor{} }
	shared := &failingProcessor{}
	store := state.KeyValue("s", serde.String, serde.String)

	tests := map[string]struct {
		build func(b *Builder)
		want  []string // beginnings of the lines
	}{
		"nothing":          {func(b *Builder) {}, []string{`there is no source`}},
		"topic characters": {func(b *Builder) { Source(b, "a b", serde.String, serde.String) }, []string{`source "a b-source": bad topic name "a b": ' ' is not allowed: use letters`}},
		"empty topic":      {func(b *Builder) { Source(b, "", serde.String, serde.String) }, []string{`source "-source": bad topic name "": it is empty`}},
		"no topics":        {func(b *Builder) { source(b); Sources(b, nil, serde.String, serde.String) }, []string{`source "-source": has no topics`}},
		"nil serdes of a source": {
			func(b *Builder) { Source[string, string](b, "in", nil, nil) },
			[]string{`source "in-source": needs a serde for its keys`, `source "in-source": needs a serde for its values`},
		},
		"a topic twice with other serdes": {
			func(b *Builder) { source(b); Source(b, "in", serde.String, serde.Int64) },
			[]string{`topic "in" is read by two sources, which differ in their value serdes (string and int64): use the stream of the first one twice`},
		},
		"a topic twice with other options": {
			func(b *Builder) { source(b); Source(b, "in", serde.String, serde.String, StartAtLatest()) },
			[]string{`topic "in" is read by two sources, which differ in where they start to read`},
		},
		"overlapping topics": {
			func(b *Builder) { source(b); Sources(b, []string{"in", "other"}, serde.String, serde.String) },
			[]string{`topic "in" is read by two sources, which differ in the topics that they read`},
		},
		"the same topic in one source": {
			func(b *Builder) { Sources(b, []string{"in", "in"}, serde.String, serde.String) },
			[]string{`source "in+in-source": reads topic "in" twice`},
		},
		"extractor of other types": {
			func(b *Builder) {
				Source(b, "in", serde.String, serde.String, TimestampFrom(func(processor.Record[string, int64], processor.Timestamp) (processor.Timestamp, error) { return 0, nil }))
			},
			[]string{`source "in-source": the function of TimestampFrom is a func(processor.Record[string,int64]`},
		},
		"nil functions": {
			func(b *Builder) {
				s := source(b)
				s.Filter(nil, Named("f"))
				MapValues[string, string, string](s, nil, serde.String, Named("mv"))
				s.ForEach(nil, Named("fe"))
				GroupBy[string, string](s, "g", nil, serde.String)
				s.ToTopic(nil, Named("sink"))
				Process[string, string, string, string, *failingProcessor](s, "p", nil, nil, nil)
			},
			[]string{
				`filter "f": the function is nil`, `mapValues "mv": the function is nil`, `forEach "fe": the function is nil`,
				`groupBy "g": the function is nil`, `sink "sink": the function is nil`, `process "p": the function is nil`,
			},
		},
		"nil functions of aggregations": {
			func(b *Builder) {
				g := grouped(b)
				g.Reduce("r", nil)
				Aggregate(g, "a", nil, func(s string, _ rec) string { return s }, serde.String)
				AggregateWindows(g.Window(Tumbling(time.Minute)), "aw", emptyString, nil, serde.Nullable(serde.String))
			},
			[]string{`reduce "r": the function is nil`, `aggregate "a": the function is nil`, `aggregate "aw": the function is nil`},
		},
		"names twice": {
			func(b *Builder) {
				s := source(b)
				s.Filter(startsWithH, Named("x"))
				Repartition(s, "x")
				grouped(b).Count("x")
			},
			[]string{
				`the name "x" is used by a filter and by a repartition, but names of operators must be unique: give one of them another name`,
				`the name "x" is used by a filter and by a count`,
			},
		},
		"table names twice": {
			func(b *Builder) {
				g := grouped(b)
				g.Count("x")
				g.Count("x")
			},
			[]string{`the name "x" is used by a count and by a count, but names of operators must be unique: give one of them another name`},
		},
		"the name of a store for operator times": {
			func(b *Builder) {
				specs := []processor.StoreSpec{state.KeyValue("in-times", serde.String, serde.String)}
				for i := range 100 {
					specs = append(specs, state.KeyValue(fmt.Sprintf("store-%03d", i), serde.String, serde.String))
				}
				Process(source(b), "p", newP, serde.String, serde.String, specs...)
			},
			[]string{`the name of store "in-times" is needed for the operator times of sub-topology in: give the store another name`},
		},
		"no names": {
			func(b *Builder) {
				s := source(b)
				Repartition(s, "")
				GroupByKey(s, "").Count("")
				GroupBy(s, "", upper, serde.String)
				s.Branch("", Default[string]("d"))
				Process(s, "", newP, serde.String, serde.String)
			},
			[]string{
				`repartition: needs a name`, `groupByKey: needs a name`, `count "in-count": needs a name, which names its table, store and changelog`,
				`groupBy "in-groupBy": needs a name`, `branch "in-branch": needs a name`, `process "in-process": needs a name`,
			},
		},
		"bad names": {
			func(b *Builder) {
				source(b).Filter(startsWithH, Named("a/b"))
				grouped(b).Count(strings.Repeat("x", 250))
			},
			[]string{`filter "a/b": bad name: '/' is not allowed`, `count "xxx`},
		},
		"nil serdes where something is sent or stored": {
			func(b *Builder) {
				s := MapValues(source(b), func(string) int64 { return 1 }, nil)
				s.To("out")
				Repartition(s, "again")
				GroupByKey(s, "g").Reduce("r", func(a, b int64) int64 { return a })
				Aggregate(grouped(b), "a", func() int64 { return 0 }, func(n int64, _ rec) int64 { return n }, nil)
				Map(source(b), func(r rec) rec { return r }, nil, nil).To("out2")
			},
			[]string{
				`sink "out-sink": needs a serde for its values, to write them: pass it to the operator that gives the values their type`,
				`repartition "again": needs a serde for its values, to send them through topic <app>-again-repartition`,
				`reduce "r": needs a serde for its values, to store them`,
				`aggregate "a": needs a serde for its values`,
				`sink "out2-sink": needs a serde for its keys`, `sink "out2-sink": needs a serde for its values`,
			},
		},
		"branches": {
			func(b *Builder) {
				s := source(b)
				s.Branch("none")
				s.Branch("b", Default[string]("d"), Case("", startsWithH), Case[string]("n", nil))
				s.Branch("c", Case("x", startsWithH), Case("x", startsWithH))
			},
			[]string{
				`branch "none": has no cases`, `branch "b": Default must be the last case: move "d" to the end`,
				`branch "b": case 2 has no name`, `branch "b": the function of case "n" is nil`, `the name "c-x" is used by a branch and by a branch`,
			},
		},
		"windows": {
			func(b *Builder) {
				g := grouped(b)
				g.Window(Windows{}).Count("none")
				g.Window(Tumbling(0)).Count("zero")
				g.Window(Hopping(ms(10), ms(11))).Count("wide")
				g.Window(Hopping(ms(10), 0)).Count("still")
				g.Window(Tumbling(1500 * time.Microsecond)).Count("micro")
				g.Window(Tumbling(ms(10)).Grace(-1 * time.Second)).Count("negative")
				g.Window(Unlimited(time.UnixMilli(-1)).Grace(time.Second)).Count("unlimited")
			},
			[]string{
				`count "none": the Windows are the zero value: use Tumbling, Hopping, Sliding or Unlimited`,
				`count "zero": the window size 0s must be positive`,
				`count "wide": the advance 11ms is more than the window size 10ms, so records between windows would be lost: use a smaller advance`,
				`count "still": the advance 0s must be positive`,
				`count "micro": the window size 1.5ms must be a whole number of milliseconds`, `count "micro": the advance 1.5ms must be a whole number`,
				`count "negative": the grace -1s must not be negative`,
				`count "unlimited": the window starts at`, `count "unlimited": unlimited windows have no grace`,
			},
		},
		"idle": {
			func(b *Builder) {
				w := grouped(b).Window(Tumbling(ms(10)))
				w.Count("zero", IdleAfter(0)).Final()
				w.Count("micro", IdleAfter(time.Microsecond)).Final()
				w.Count("never", IdleAfter(time.Second))
				w.Count("final", IdleAfter(time.Second)).Final()
				w.Count("suppressed", IdleAfter(time.Second)).Suppress("s", UntilClosed())
				w.Count("calm", IdleAfter(time.Second)).Suppress("c", UntilTimeLimit(time.Second))
			},
			[]string{
				`count "zero": IdleAfter(0s) must be positive`, `count "micro": IdleAfter(1µs) must be a whole number`,
				`count "never": IdleAfter closes windows, but the table sends its updates as they come: add Final`, `count "calm": IdleAfter closes windows`,
			},
		},
		"retention": {
			func(b *Builder) {
				grouped(b).Window(Tumbling(ms(10)).Grace(ms(5))).Count("n", Retention(ms(14)))
			},
			[]string{`count "n": the retention 14ms is less than the window size 10ms plus the grace 5ms, so open windows would be lost: use a longer Retention`},
		},
		"partitions": {
			func(b *Builder) {
				GroupByKey(source(b), "by-key", Partitions(3)).Count("n")
				Repartition(source(b), "r", Partitions(0))
			},
			[]string{`groupByKey "by-key": the key has not changed, so nothing is repartitioned and Partitions has no effect`, `repartition "r": Partitions is 0: use at least 1`},
		},
		"partitioners": {
			func(b *Builder) {
				s := source(b)
				s.To("out", Partitioner(func(processor.Record[string, int64], int32) []int32 { return nil }))
				s.To("out", Partitioner[string, string](nil))
			},
			[]string{`sink "out-sink": the function of Partitioner is a func(processor.Record[string,int64], int32) []int32, but the stream needs a func`, `sink "out-sink-2": the function of Partitioner is nil`},
		},
		"sink topics": {
			func(b *Builder) {
				s := source(b)
				s.To("")
				s.To("ü")
				Repartition(s, "again").To("app-again-repartition")
				s.To("n-changelog")
				grouped(b).Count("n")
			},
			[]string{
				`sink "in-sink": bad topic name "": it is empty`, `sink "ü-sink": bad topic name "ü": 'ü' is not allowed`,
				`sink "app-again-repartition-sink": topic "app-again-repartition" has the name of an internal topic, <app>-again-repartition: use the stream`,
				`sink "n-changelog-sink": topic "n-changelog" has the name of an internal topic, <app>-n-changelog: only its store may write to it`,
			},
		},
		"another builder": {
			func(b *Builder) { source(b).Merge(source(New())) },
			[]string{`merge "in-merge": was given a handle of another Builder`},
		},
		"merge of different serdes": {
			func(b *Builder) {
				source(b).Merge(MapValues(source(b), upper, serde.JSON[string]()))
			},
			[]string{`merge "in-merge": the streams have different serdes of keys or values (string/string and string/json string)`},
		},
		"processors": {
			func(b *Builder) {
				s := source(b)
				Process(s, "same", func() *failingProcessor { return shared }, serde.String, serde.String)
				Process(s, "nil", func() *failingProcessor { return nil }, serde.String, serde.String)
				Process(s, "panics", func() *failingProcessor { panic("oh") }, serde.String, serde.String)
			},
			[]string{
				`process "same": the function returned the same processor twice: return a new one for each call, because each task needs its own`,
				`process "nil": the function returned nil: return a new processor`, `process "panics": panic: oh`,
			},
		},
		"stores": {
			func(b *Builder) {
				s := source(b)
				Process(s, "twice", newP, serde.String, serde.String, store, store)
				Process(s, "other", newP, serde.String, serde.String, state.KeyValue("s", serde.String, serde.Int64))
				Process(s, "nil", newP, serde.String, serde.String, nil)
				Process(s, "bad", newP, serde.String, serde.String, state.KeyValue[string, string]("a b", serde.String, serde.String))
				Process(s, "no spec", newP, serde.String, serde.String, unknownSpec("n"))
				Process(s, "window", newP, serde.String, serde.String, windowstore.New("w", serde.String, serde.String, 0, 0))
			},
			[]string{
				`process "twice": was given store "s" twice`, `process "other": there is another store "s" already`,
				`process "nil": was given a nil store`, `process "bad": store "a b": bad name: ' ' is not allowed`,
				`process "no spec": bad name`, `process "no spec": store "n": topology.unknownSpec is not the spec of a store: use state.KeyValue, windowstore.New, sessionstore.New or versionedstore.New`,
				`process "window": window store w: the window size 0s must be at least one millisecond`,
			},
		},
		"reported": {
			func(b *Builder) {
				source(b)
				b.Report(nil)
				b.Report(errors.New("topology: mine"))
				b.OnBuild(func() error {
					b.OnBuild(func() error { return errors.New("topology: late") })
					return nil
				})
			},
			[]string{"mine", "late"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := New()
			test.build(b)
			topo, err := b.Build()
			if err == nil || topo != nil {
				t.Fatalf("Build returned %v, %v", topo, err)
			}
			lines := strings.Split(err.Error(), "\n")
			for _, line := range lines {
				if !strings.HasPrefix(line, "topology: ") {
					t.Errorf("line %q", line)
				}
				if !slices.ContainsFunc(test.want, func(w string) bool { return strings.HasPrefix(strings.TrimPrefix(line, "topology: "), w) }) {
					t.Errorf("unexpected: %s", line)
				}
			}
			for _, w := range test.want {
				if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "topology: "+w) }) {
					t.Errorf("missing: %s\nin:\n%s", w, err)
				}
			}
		})
	}
}

// TestBuildIsRepeatable builds twice, with one more operator in between.
func TestBuildIsRepeatable(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	s.To("out")
	first, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	before := first.Describe().String()
	s.To("out2")
	second, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if first.Describe().String() != before || second.Describe().String() == before {
		t.Errorf("first %s, second %s", first.Describe(), second.Describe())
	}
}

// TestSourceTwice gives the same stream twice.
func TestSourceTwice(t *testing.T) {
	t.Parallel()
	b := New()
	Source(b, "in", serde.String, serde.JSON[int64]()).To("a")
	Source(b, "in", serde.String, serde.JSON[int64]()).To("b")
	f := run(t, b)
	f.Feed("in", "k:1@1")
	f.Expect("a k:1@1", "b k:1@1")
}

// TestNames checks derived names. They give way to names that the user chose, and no
// insertion renames an operator with state.
func TestNames(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	s.Filter(startsWithH).Filter(startsWithH).To("out")
	s.Filter(startsWithH, Named("in-filter"))
	MapValues(s.Filter(startsWithH, Named("mine")), upper, serde.String)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range topo.g.Nodes {
		got = append(got, n.Name)
	}
	want := "in-source in-filter-3 in-filter-2 out-sink in-filter mine mine-mapValues"
	if strings.Join(got, " ") != want {
		t.Errorf("names %v, want %s", got, want)
	}
}

func TestDoor(t *testing.T) {
	t.Parallel()
	if _, err := graph.Of(&Topology{}); err == nil {
		t.Error("a topology that was not built has a graph")
	}
	if _, err := graph.Of("x"); err == nil {
		t.Error("a string has a graph")
	}
}

func TestBuilderValues(t *testing.T) {
	t.Parallel()
	type key struct{}
	b := New()
	if v := b.Value(key{}); v != nil {
		t.Errorf("%v", v)
	}
	b.SetValue(key{}, 7)
	if v := b.Value(key{}); v != 7 {
		t.Errorf("%v", v)
	}
}

// TestZeroHandles expects a panic whose text says what is wrong.
func TestZeroHandles(t *testing.T) {
	t.Parallel()
	for name, use := range map[string]func(){
		"stream":  func() { Stream[string, string]{}.Filter(startsWithH) },
		"builder": func() { Source(nil, "in", serde.String, serde.String) },
		"grouped": func() { Grouped[string, string]{}.Count("n") },
		"fold":    func() { Fold(Grouped[string, string]{}, addText) },
		"folded":  func() { Cogroup(Folded[string, string]{}).Aggregate("n", emptyText, serde.String) },
		"cogroup": func() { Cogrouped[string, string]{}.Aggregate("n", emptyText, serde.String) },
	} {
		func() {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.HasPrefix(text, "topology: ") {
					t.Errorf("%s: %s", name, text)
				}
			}()
			use()
		}()
	}
}

// unknownSpec is a spec that no package of stores has made.
type unknownSpec string

func (s unknownSpec) StoreName() string { return string(s) }
