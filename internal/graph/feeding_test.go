package graph

import (
	"slices"
	"testing"
)

func TestFeeding(t *testing.T) {
	t.Parallel()
	g := newBuild("direct", "behind", "looked-up", "asked", "loop").
		source("two", "b", "a").
		source("other", "c").
		keyed("table", "direct", "two").
		repartition("r", 0, "table").
		repartition("s", 0, "r-source").
		keyed("groups", "behind", "s-source", "other").
		add(&Node{Name: "join", Kind: Processor, Stores: []string{"looked-up"}, LooksUp: []string{"looked-up"}}, "two").
		keyed("rows", "looked-up", "other").
		add(&Node{Name: "answers", Kind: Processor, Answers: true}, "other").
		repartition("responses", 0, "answers").
		keyed("resolve", "asked", "responses-source", "two").graph()
	loop := &Node{Name: "loop", Kind: Processor, Stores: []string{"loop"}, Parents: []*Node{g.Nodes[0]}}
	loop.Parents = append(loop.Parents, loop)
	g.Stores[4].Nodes = []*Node{loop}
	for i, want := range [][]string{{"a", "b"}, {"a", "b", "c"}, {"c"}, {"a", "b"}, {"a", "b"}} {
		if got := g.Feeding(g.Stores[i]); !slices.Equal(got, want) {
			t.Errorf("store %s is fed by %v, want %v", g.Stores[i].Name, got, want)
		}
	}
}
