package topology

import (
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
)

// TestInsertionRenamesNothing inserts operators, with and without state, in front of
// everything. All stores must keep their names and the names of their sub-topologies.
func TestInsertionRenamesNothing(t *testing.T) {
	t.Parallel()
	build := func(insert bool) *Topology {
		b := New()
		s := Source(b, "in", serde.String, serde.String)
		if insert {
			s = s.Filter(startsWithH)
			GroupBy(s, "new", upper, serde.String).Count("new-count")
			Source(b, "a", serde.String, serde.String).To("out")
		}
		g := GroupBy(s, "grouped", upper, serde.String)
		g.Count("count")
		g.Window(Tumbling(time.Minute)).Count("windowed")
		GroupByKey(s, "by-key").Reduce("reduced", concat)
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return topo
	}
	before, after := build(false).g, build(true).g
	if err := after.Shape().Incompatible(before.Shape()); err != nil {
		t.Error(err)
	}
	names := make(map[string]string) // of sub-topologies, by store
	for _, sub := range after.SubTopologies {
		for _, s := range sub.Stores {
			names[s.Name] = sub.Name
		}
	}
	for _, sub := range before.SubTopologies {
		for _, s := range sub.Stores {
			if names[s.Name] != sub.Name {
				t.Errorf("store %s was in %q and is in %q", s.Name, sub.Name, names[s.Name])
			}
		}
	}
	if build(true).g.Shape().Fingerprint() != after.Shape().Fingerprint() {
		t.Error("the fingerprint of one topology changes")
	}
}

// TestChangedWindowsAreIncompatible refuses to read rows as windows of another size.
func TestChangedWindowsAreIncompatible(t *testing.T) {
	t.Parallel()
	build := func(w Windows) *Topology {
		b := New()
		GroupByKey(Source(b, "in", serde.String, serde.String), "by-key").Window(w).Count("n")
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return topo
	}
	was := build(Tumbling(time.Minute)).g.Shape()
	if err := build(Tumbling(time.Minute).Grace(time.Hour)).g.Shape().Incompatible(was); err != nil {
		t.Errorf("another grace: %v", err)
	}
	if err := build(Tumbling(time.Hour)).g.Shape().Incompatible(was); err == nil {
		t.Error("another size is compatible")
	}
}
