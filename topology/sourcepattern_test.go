package topology

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/serde"
)

func TestBadPatterns(t *testing.T) {
	t.Parallel()
	from := func(name, pattern string, opts ...SourceOption) func(*Builder) {
		return func(b *Builder) { SourcePattern(b, name, pattern, serde.String, serde.String, opts...) }
	}
	for name, tc := range map[string]struct {
		add  []func(*Builder)
		want string // "" for none
	}{
		"alone":              {[]func(*Builder){from("ins", "in-.*")}, ""},
		"twice":              {[]func(*Builder){from("ins", "in-.*"), from("ins", "in-.*")}, ""},
		"no expression":      {[]func(*Builder){from("ins", "in-(")}, `the pattern "in-(" is no regular expression`},
		"half an expression": {[]func(*Builder){from("ins", "a)|(b")}, "is no regular expression"},
		"no name":            {[]func(*Builder){from("", "in-.*")}, "needs a name"},
		"two names":          {[]func(*Builder){from("ins", "in-.*", Named("other"))}, `remove Named("other")`},
		"one name for two":   {[]func(*Builder){from("ins", "in-.*"), from("ins", "other-.*")}, `the name "ins" is used`},
		"one pattern for two": {[]func(*Builder){from("ins", "in-.*"), from("more", "in-.*")},
			`source "more": source "ins" reads the pattern "in-.*" too: use its stream twice`},
		"other options": {[]func(*Builder){from("ins", "in-.*"), from("ins", "in-.*", StartAtLatest())}, "the two differ in where they start to read"},
		"a source names it": {[]func(*Builder){from("ins", "in-.*"), func(b *Builder) { Source(b, "in-1", serde.String, serde.String) }},
			`the pattern "in-.*" matches topic "in-1", which source "in-1-source" names`},
		"a part of the name": {[]func(*Builder){from("ins", "in-."), func(b *Builder) { Source(b, "in-12", serde.String, serde.String) }}, ""},
		"alternatives":       {[]func(*Builder){from("ins", "in|x"), func(b *Builder) { Source(b, "in-1", serde.String, serde.String) }}, ""},
		"the name of a topic": {[]func(*Builder){from("ins", "in-.*"), func(b *Builder) { Source(b, "ins", serde.String, serde.String) }},
			"has the name of a topic that source \"ins-source\" reads"},
		"a global table": {[]func(*Builder){from("ins", "in-.*"), func(b *Builder) { GlobalTable(b, "in-1", serde.String, serde.String) }}, "matches the topic of the globalTable"},
		"a sink": {[]func(*Builder){func(b *Builder) { SourcePattern(b, "ins", "in-.*", serde.String, serde.String).To("in-all") }},
			`matches topic "in-all", to which sink`},
	} {
		b := New()
		for _, add := range tc.add {
			add(b)
		}
		_, err := b.Build()
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestDescribePattern(t *testing.T) {
	t.Parallel()
	b := New()
	SourcePattern(b, "ins", `in-[0-9]`, serde.String, serde.String).Filter(func(string) bool { return true }).To("out")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	text := topo.Describe().String()
	for _, want := range []string{"    Source: ins (topics: in-[0-9])\n      --> ins-filter\n", "Processor: ins-filter (stores: [])"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if dot := topo.Describe().DOT(); !strings.Contains(dot, `"pattern ins" -> "node ins"`) {
		t.Errorf("no edge of the pattern in\n%s", dot)
	}
}

// The topics that match change neither the shape nor the names of a graph, and a graph is
// not changed when it is resolved.
func TestResolve(t *testing.T) {
	t.Parallel()
	b := New()
	in := SourcePattern(b, "ins", `in-.*|app-.*`, serde.String, serde.String)
	GroupByKey(in.Merge(Source(b, "other", serde.String, serde.String)), "by-key").Count("counts")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	matching := topo.g.Matching("app", []string{"in-2", "in-1", "in-1", "out", "xin-1", "app-counts-changelog", "app-gone-changelog", "app-stores-registry", "app-x-repartition", "app-file"})
	if got := strings.Join(matching, " "); got != "app-file in-1 in-2" {
		t.Errorf("matching: %s", got)
	}
	resolved, err := topo.g.Resolve(matching)
	if err != nil {
		t.Fatal(err)
	}
	sub := resolved.SubTopologies[0]
	if len(sub.Sources) != 4 || sub.Name != "ins" || len(sub.CoPartitioned) != 1 || len(sub.CoPartitioned[0]) != 4 {
		t.Errorf("%+v", sub)
	}
	if was, is := topo.g.Shape().Fingerprint(), resolved.Shape().Fingerprint(); was != is {
		t.Errorf("the fingerprint was %s and is %s", was, is)
	}
	if len(topo.g.SubTopologies[0].Sources) != 1 || len(topo.g.Nodes[0].Topics) != 0 {
		t.Error("the graph itself has changed")
	}
	for i, n := range resolved.Nodes {
		if n == topo.g.Nodes[i] || len(n.Children) > 0 && !slices.Contains(n.Children[0].Parents, n) {
			t.Errorf("node %s is not linked within its graph", n.Name)
		}
	}
	for _, s := range resolved.Stores {
		if s.Nodes[0] != resolved.Nodes[s.Nodes[0].ID] {
			t.Errorf("store %s belongs to a node of another graph", s.Name)
		}
	}
	again, err := resolved.Resolve([]string{"in-3"})
	if err != nil || len(again.SubTopologies[0].Sources) != 2 || again.MatchedDigest() == resolved.MatchedDigest() {
		t.Errorf("resolved again: %+v, %v", again.SubTopologies[0], err)
	}
}

func TestPatternsThatOverlap(t *testing.T) {
	t.Parallel()
	b := New()
	SourcePattern(b, "ins", `in-.*`, serde.String, serde.String)
	SourcePattern(b, "ones", `.*-1`, serde.String, serde.String)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topo.g.Resolve([]string{"in-2", "out-1"}); err != nil {
		t.Error(err)
	}
	_, err = topo.g.Resolve([]string{"in-1", "in-2"})
	if err == nil || !strings.Contains(err.Error(), `topic in-1 is read by two sources (source ins, the pattern "in-.*"; source ones, the pattern ".*-1")`) {
		t.Errorf("got %v", err)
	}
}
