package conformance

import (
	"slices"
	"strings"
	"testing"
)

// TestChangedDescriptions changes each description of the corpus, and wants the
// comparison to notice.
func TestChangedDescriptions(t *testing.T) {
	t.Parallel()
	changes := map[string]func(*describedPart, *describedNode) bool{
		"an edge is missing": func(_ *describedPart, n *describedNode) bool {
			if len(n.next) == 0 {
				return false
			}
			n.next = n.next[1:]
			return true
		},
		"a topic or a store has another name": func(_ *describedPart, n *describedNode) bool {
			before := n.what
			n.what = strings.ReplaceAll(n.what, "[", "[x")
			return n.what != before && n.what != "[x]"
		},
		"a store is missing": func(_ *describedPart, n *describedNode) bool {
			if n.kind != "Processor" || n.what == "[]" {
				return false
			}
			n.what = "[]"
			return true
		},
		"a node is missing": func(p *describedPart, n *describedNode) bool {
			p.nodes = slices.DeleteFunc(p.nodes, func(other *describedNode) bool { return other == n })
			for _, other := range p.nodes {
				other.next = slices.DeleteFunc(other.next, func(name string) bool { return name == n.name })
			}
			return true
		},
		"a sub-topology has another number": func(p *describedPart, _ *describedNode) bool {
			p.title += "0"
			return true
		},
	}
	same := func(name string) string { return name }
	read := func(text string) *description { return must(parseDescription(text)) }
	for _, c := range loadCases(t) {
		if c.Describe == "" {
			continue
		}
		for what, change := range changes {
			theirs, ours := read(c.Describe), read(c.Describe)
			if s := (&shapes{theirs.shape(same), ours.shape(same), nil}); !s.equal() {
				t.Errorf("%s: a description differs from itself", c.Name)
			}
			part := &ours.parts[0]
			if !change(part, part.nodes[0]) {
				continue
			}
			if s := (&shapes{theirs.shape(same), ours.shape(same), nil}); s.equal() {
				t.Errorf("%s: not noticed: %s", c.Name, what)
			}
		}
	}
}
