package topology

import (
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/windowstore"
)

type noting struct{}

func (*noting) Init(processor.Context[struct{}, struct{}]) error { return nil }

func (*noting) Process(processor.Context[struct{}, struct{}], processor.Record[string, string]) error {
	return nil
}

type echo struct{}

func (*echo) Init(processor.Context[string, string]) error { return nil }

func (*echo) Process(ctx processor.Context[string, string], r processor.Record[string, string]) error {
	ctx.Forward(r)
	return nil
}

func TestGlobalProblems(t *testing.T) {
	t.Parallel()
	b := New()
	s := Source(b, "in", serde.String, serde.String)
	prices := GlobalTable(b, "prices", serde.String, serde.String)
	value := func(v string) string { return v }
	GlobalTable(b, "in", serde.String, serde.String, Named("also-in"))
	GlobalTable(b, "prices", serde.String, serde.String, Named("again"))
	GlobalTable(b, "tariffs", serde.String, serde.String, Named("prices"))
	GlobalTable(b, "latest", serde.String, serde.String, StartAtLatest())
	GlobalTable(b, "merged", serde.String, serde.String, EveryUpdate())
	GlobalTable[string, string](b, "bare", nil, serde.String)
	JoinGlobal(s, prices, value, nil, serde.String, Named("nil-join"))
	JoinGlobal(s, GlobalTable(New(), "far", serde.String, serde.String), value, both, serde.String, Named("far-join"))
	JoinGlobal(s, Global[string, string]{}, value, both, serde.String, Named("zero-join"))
	s.ToTable("prices")
	GlobalStore(b, "nil-spec", serde.String, serde.String, state.Spec[string, string](nil), func() *noting { return nil })
	bounded := state.KeyValue("bounded-rows", serde.String, serde.String, state.MostRows(3))
	GlobalStore(b, "bounded", serde.String, serde.String, bounded, func() *noting { return &noting{} })
	mortal := state.KeyValue("mortal-rows", serde.String, serde.String, state.TTL(time.Hour))
	GlobalStore(b, "mortal", serde.String, serde.String, mortal, func() *noting { return &noting{} })
	_, err := b.Build()
	for _, want := range []string{
		`globalTable of topic "in": another source reads the topic too`,
		`globalTable of topic "prices": a globalTable already reads the topic`,
		`globalTable of topic "tariffs": the globalTable of topic "prices" already has a store "prices"`,
		`globalTable of topic "latest": a global store always has the whole topic: remove StartAtLatest`,
		`globalTable of topic "merged": a global store has no children and no changelog: remove EveryUpdate and WithoutChangelog`,
		`needs a serde for its keys`,
		`joinGlobal "nil-join": the function is nil`,
		`joinGlobal "far-join": was given a handle of another Builder`,
		`joinGlobal "zero-join": the global table is the zero value`,
		`toTable "prices": the globalTable of topic "prices" has the name of the store "prices"`,
		`globalStore of topic "nil-spec": the spec of the store is nil`,
		`globalStore of topic "bounded": the rows that give way would differ between processes: remove MostRows`,
		`globalStore of topic "mortal": stream time, and so the rows that expire, would differ between processes: remove TTL`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error\n%v", want, err)
		}
	}
}

// A global table adds nothing to the sub-topologies, and its topic need not have as many
// partitions as the stream's.
func TestGlobalIsNoSubTopology(t *testing.T) {
	t.Parallel()
	b := New()
	prices := GlobalTable(b, "prices", serde.String, serde.String)
	s := Source(b, "in", serde.String, serde.String)
	JoinGlobal(s, prices, func(v string) string { return v }, both, serde.String, Named("priced")).To("out")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	counts, err := topo.g.PartitionCounts(func(topic string) (int32, error) { return 3, nil })
	if err != nil || len(counts) != 1 || len(topo.g.SubTopologies) != 1 || len(topo.g.Stores) != 0 {
		t.Errorf("counts %v, %v; %d sub-topologies, %d stores", counts, err, len(topo.g.SubTopologies), len(topo.g.Stores))
	}
	if err := topo.g.Conflicts("app"); err != nil {
		t.Error(err)
	}
	want := "  Sub-topology: 1 for global store (will not generate tasks)\n" +
		"    Source: prices-source (topics: [prices])\n      --> prices-globalTable\n" +
		"    Processor: prices-globalTable (stores: [prices])\n      --> none\n      <-- prices-source\n"
	if got := topo.Describe().String(); !strings.HasSuffix(got, want) {
		t.Errorf("Describe:\n%s\nwant at the end:\n%s", got, want)
	}
	if got := topo.Describe().DOT(); !strings.Contains(got, `"store prices" -> "node priced"`) {
		t.Errorf("DOT:\n%s", got)
	}
}

// A global topic must not have the name of an internal one.
func TestGlobalTopicConflict(t *testing.T) {
	t.Parallel()
	b := New()
	Source(b, "in", serde.String, serde.String).ToTable("rows")
	GlobalTable(b, "app-rows-changelog", serde.String, serde.String)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if err := topo.g.Conflicts("app"); err == nil || !strings.Contains(err.Error(), "the changelog of store rows") {
		t.Errorf("error %v", err)
	}
}

// A processor that is given another store of the same name does not get the global one.
func TestGlobalStoreOfAnotherSpec(t *testing.T) {
	t.Parallel()
	b := New()
	GlobalTable(b, "prices", serde.String, serde.String)
	s := Source(b, "in", serde.String, serde.String)
	other := windowstore.New("prices", serde.String, serde.String, ms(1), ms(1))
	Process(s, "p", func() *echo { return &echo{} }, serde.String, serde.String, other)
	_, err := b.Build()
	if want := `process "p": the globalTable of topic "prices" has the name of the store "prices"`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v", err)
	}
}

// Named gives a name to the source of a global store, as to any other source.
func TestNamedGlobalStore(t *testing.T) {
	t.Parallel()
	b := New()
	Source(b, "in", serde.String, serde.String)
	rows := state.KeyValue("rows", serde.String, serde.String)
	GlobalStore(b, "prices", serde.String, serde.String, rows, func() *noting { return &noting{} }, Named("read-prices"))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	want := "    Source: read-prices (topics: [prices])\n      --> rows\n"
	if got := topo.Describe().String(); !strings.Contains(got, want) {
		t.Errorf("Describe:\n%s\nwant in it:\n%s", got, want)
	}
}
