package graph

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// build makes nodes: "name", kind, parents and stores by name.
type build struct {
	nodes        []*Node
	byName       map[string]*Node
	stores       []*Store
	repartitions []*RepartitionTopic
}

func newBuild(stores ...string) *build {
	b := &build{byName: map[string]*Node{}}
	for _, s := range stores {
		b.stores = append(b.stores, &Store{Name: s, Format: "format of " + s})
	}
	return b
}

func (b *build) add(n *Node, parents ...string) *build {
	for _, p := range parents {
		n.Parents = append(n.Parents, b.byName[p])
	}
	b.byName[n.Name] = n
	b.nodes = append(b.nodes, n)
	return b
}

func (b *build) source(name string, topics ...string) *build {
	n := &Node{Name: name, Kind: Source}
	for _, t := range topics {
		n.Topics = append(n.Topics, Topic{Name: t})
	}
	return b.add(n)
}

func (b *build) keyed(name, store string, parents ...string) *build {
	return b.add(&Node{Name: name, Kind: Processor, Keyed: true, Stores: []string{store}}, parents...)
}

func (b *build) repartition(name string, partitions int32, parent string) *build {
	topic := Topic{Name: name, Internal: true}
	b.repartitions = append(b.repartitions, &RepartitionTopic{Topic: topic, Partitions: partitions})
	b.add(&Node{Name: name + "-sink", Kind: Sink, SinkTopic: topic}, parent)
	return b.add(&Node{Name: name + "-source", Kind: Source, Topics: []Topic{topic}})
}

func (b *build) graph() *Graph { return Assemble(b.nodes, b.stores, b.repartitions) }

func TestSubTopologies(t *testing.T) {
	t.Parallel()
	g := newBuild("s", "t").
		source("one", "z", "y").
		source("two", "x").
		repartition("r", 0, "one").
		keyed("a", "s", "two").
		keyed("b", "s", "r-source").
		keyed("c", "t", "one").graph()

	if len(g.SubTopologies) != 2 {
		t.Fatalf("%d sub-topologies", len(g.SubTopologies))
	}
	first, second := g.SubTopologies[0], g.SubTopologies[1]
	if first.Name != "y" || second.Name != "r" {
		t.Errorf("names %q and %q", first.Name, second.Name)
	}
	if len(first.Stores) != 1 || first.Stores[0].Name != "t" || len(second.Stores) != 1 || second.Stores[0].Name != "s" {
		t.Errorf("stores %v and %v", first.Stores, second.Stores)
	}
	if r := g.Repartitions[0]; r.From != 0 || r.To != 1 {
		t.Errorf("repartition from %d to %d", r.From, r.To)
	}
	for i, n := range g.Nodes {
		if n.ID != i {
			t.Errorf("node %s has ID %d", n.Name, n.ID)
		}
	}
	if c := g.Nodes[0].Children; len(c) != 2 || c[0].Name != "r-sink" || c[1].Name != "c" {
		t.Errorf("children %v", c)
	}
	want := [][]Topic{{{Name: "y"}, {Name: "z"}}}
	if !reflect.DeepEqual(first.CoPartitioned, want) {
		t.Errorf("co-partitioned %v", first.CoPartitioned)
	}
}

func TestUnevenStores(t *testing.T) {
	t.Parallel()
	g := newBuild("shared", "own", "even").source("a", "two").source("b", "six").source("c", "2")
	for name, stores := range map[string][]string{"a": {"shared", "own"}, "b": {"shared"}, "c": {"even"}} {
		g.add(&Node{Name: name + "-processor", Kind: Processor, Stores: stores}, name)
	}
	g.add(&Node{Name: "d", Kind: Processor, Stores: []string{"even"}}, "a", "c")
	got := g.graph().UnevenStores(map[Topic]int32{{Name: "two"}: 2, {Name: "six"}: 6, {Name: "2"}: 2})
	if len(got) != 1 || got[0].Store != "shared" || !strings.Contains(got[0].Counts, "six has 6") || !strings.Contains(got[0].Counts, "two has 2") {
		t.Errorf("got %v, want the store that is shared", got)
	}
}

func TestPartitionCounts(t *testing.T) {
	t.Parallel()
	counts := map[string]int32{"four": 4, "six": 6, "two": 2}
	count := func(topic string) (int32, error) {
		if c, ok := counts[topic]; ok {
			return c, nil
		}
		return 0, errors.New("no topic " + topic)
	}
	tests := map[string]struct {
		g    *Graph
		want map[string]int32
		err  string
	}{
		"inherited": {
			newBuild().source("a", "four", "six").repartition("r", 0, "a").repartition("q", 0, "r-source").graph(),
			map[string]int32{"four": 4, "six": 6, "r": 6, "q": 6}, "",
		},
		"fixed": {
			newBuild().source("a", "four").repartition("r", 3, "a").repartition("q", 0, "r-source").graph(),
			map[string]int32{"four": 4, "r": 3, "q": 3}, "",
		},
		"co-partitioned": {
			newBuild("s").source("a", "two").repartition("r", 0, "a").source("b", "six").keyed("n", "s", "r-source", "b").graph(),
			map[string]int32{"two": 2, "r": 6, "six": 6}, "",
		},
		"unequal": {
			newBuild("s").source("a", "two").source("b", "six").keyed("n", "s", "a", "b").graph(),
			nil, "six has 6, two has 2: send them through topology.Repartition",
		},
		"unequal, but not grouped": {
			newBuild("s").source("a", "two").source("b", "six").add(&Node{Name: "merge"}, "a", "b").graph(),
			map[string]int32{"two": 2, "six": 6}, "",
		},
		"fixed and unequal": {
			newBuild("s").source("a", "two").repartition("r", 3, "a").keyed("n", "s", "r-source", "a").graph(),
			nil, "r has 3, two has 2",
		},
		"missing": {newBuild().source("a", "none").graph(), nil, "source a: no topic none"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := test.g.PartitionCounts(count)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for topic, c := range got {
				if test.want[topic.Name] != c {
					t.Errorf("%s has %d partitions, want %d", topic.Name, c, test.want[topic.Name])
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("counts %v", got)
			}
		})
	}
}

func TestConflicts(t *testing.T) {
	t.Parallel()
	g := newBuild("s").source("a", "app-s-changelog").repartition("r", 0, "a").add(&Node{Name: "out", Kind: Sink, SinkTopic: Topic{Name: "app-r"}}, "a").graph()
	g.Stores[0].Nodes = nil
	err := g.Conflicts("app")
	if err == nil || !strings.Contains(err.Error(), "the changelog of store s") || !strings.Contains(err.Error(), "the repartition topic r") {
		t.Errorf("error %v", err)
	}
	if err := g.Conflicts("other"); err != nil {
		t.Errorf("error %v", err)
	}
	if err := g.Conflicts(strings.Repeat("x", 248)); err == nil || !strings.Contains(err.Error(), "249") {
		t.Errorf("error %v", err)
	}
}

func TestCheckDeadLetters(t *testing.T) {
	t.Parallel()
	global := &Global{Store: &Store{Name: "rates"}, Topic: Topic{Name: "all-rates"}}
	g := newBuild("s").source("a", "in").repartition("r", 0, "a").graph()
	g.Stores[0].Nodes, g.Globals = nil, []*Global{global}
	for topic, want := range map[string]string{
		"": "", "dead": "", "r": "",
		"in":                  "source a reads the topic for dead letters, in,",
		"all-rates":           "the global store rates reads the topic for dead letters",
		"app-s-changelog":     "is the changelog of store s",
		"app-r":               "is the repartition topic r",
		"app-stores-registry": "is the registry of the stores",
	} {
		err := g.CheckDeadLetters("app", topic)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("topic %q: got %v, want %q", topic, err, want)
		}
	}
}

func TestFormatsAgree(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"int64", "int64", true}, {"int64", "json", false}, {"?", "json", true}, {"json", "?", true}, {"", "json", false},
		{"nullable ?", "nullable json", true}, {"nullable ?", "json", false}, {"store of ? to int64", "store of string to int64", true},
		{"store of ? to int64", "store of string to json", false}, {"of ? to ?, hopping", "of a to b, hopping", true}, {"? to ?", "a by b", false},
	} {
		if got := FormatsAgree(tc.a, tc.b); got != tc.want {
			t.Errorf("%q and %q: %v", tc.a, tc.b, got)
		}
	}
}

func TestShape(t *testing.T) {
	t.Parallel()
	base := newBuild("s").source("a", "x").keyed("n", "s", "a").graph().Shape()
	more := newBuild("s", "t").source("a", "x", "y").keyed("n", "s", "a").keyed("m", "t", "a").graph().Shape()
	moved := newBuild("s").source("a", "x").repartition("r", 0, "a").keyed("n", "s", "r-source").graph().Shape()
	gone := newBuild().source("a", "x").graph().Shape()
	other := newBuild("s").source("a", "x").keyed("n", "s", "a").graph()
	other.Stores[0].Format = "something else"

	for name, test := range map[string]struct {
		now  Shape
		want string
	}{
		"same":           {base, ""},
		"more":           {more, ""},
		"moved":          {moved, "store s was filled from x and is now filled from r"},
		"gone":           {gone, "store s is no longer in the topology"},
		"another format": {other.Shape(), "store s was format of s and is now something else"},
	} {
		err := test.now.Incompatible(base)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: error %v", name, err)
		}
		if same := test.now.Fingerprint() == base.Fingerprint(); same != (name == "same") {
			t.Errorf("%s: same fingerprint: %v", name, same)
		}
	}
	if f := base.Fingerprint(); len(f) != 16 {
		t.Errorf("fingerprint %q", f)
	}
}
