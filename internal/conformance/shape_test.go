package conformance

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// shape is a description as a graph, in which the names of nodes do not matter.
type shape struct {
	nodes map[string]*shapeNode // by name
}

type shapeNode struct {
	name         string
	part         string // the title of its sub-topology
	kind         string
	detail       string
	what         []string // topics or stores, sorted
	next, before []*shapeNode
}

// shape returns the graph of a description. rename is applied to topics and stores.
func (d *description) shape(rename func(string) string) *shape {
	s := &shape{nodes: map[string]*shapeNode{}}
	for _, part := range d.parts {
		for _, n := range part.nodes {
			s.nodes[n.name] = &shapeNode{name: n.name, part: part.title, kind: n.kind, detail: n.detail, what: n.whats(rename)}
		}
	}
	for _, part := range d.parts {
		for _, n := range part.nodes {
			for _, next := range n.next {
				s.connect(s.nodes[n.name], s.nodes[next])
			}
		}
	}
	return s
}

// whats returns the topics or stores of a node. The class of an extractor is left out: it
// differs between languages.
func (n *describedNode) whats(rename func(string) string) (out []string) {
	list := strings.TrimSuffix(strings.TrimPrefix(n.what, "["), "]")
	if list == "" || n.detail == "extractor class" {
		return nil
	}
	for _, name := range strings.Split(list, ", ") {
		out = append(out, rename(name))
	}
	slices.Sort(out)
	return out
}

func (s *shape) connect(from, to *shapeNode) {
	if !slices.Contains(from.next, to) {
		from.next, to.before = append(from.next, to), append(to.before, from)
	}
}

// disconnect removes an edge.
func (s *shape) disconnect(from, to *shapeNode) {
	from.next = slices.DeleteFunc(from.next, func(c *shapeNode) bool { return c == to })
	to.before = slices.DeleteFunc(to.before, func(p *shapeNode) bool { return p == from })
}

// cut removes the edges of a node, and the node.
func (s *shape) cut(n *shapeNode) {
	for _, p := range n.before {
		p.next = slices.DeleteFunc(p.next, func(c *shapeNode) bool { return c == n })
	}
	for _, c := range n.next {
		c.before = slices.DeleteFunc(c.before, func(p *shapeNode) bool { return p == n })
	}
	delete(s.nodes, n.name)
}

// skip removes a node, and connects its parents with its children.
func (s *shape) skip(n *shapeNode) {
	s.cut(n)
	for _, p := range n.before {
		for _, c := range n.next {
			s.connect(p, c)
		}
	}
}

// join makes one node of several. It is the last one, and has the stores of all.
func (s *shape) join(nodes ...*shapeNode) {
	one := nodes[len(nodes)-1]
	for _, n := range nodes[:len(nodes)-1] {
		s.cut(n)
		one.what = append(one.what, n.what...)
		for _, p := range n.before {
			if !slices.Contains(nodes, p) {
				s.connect(p, one)
			}
		}
		for _, c := range n.next {
			if !slices.Contains(nodes, c) {
				s.connect(one, c)
			}
		}
	}
	slices.Sort(one.what)
	one.what = slices.Compact(one.what)
}

// colours returns one text for each node, sorted. It begins with the node's label, and
// stands for its place in the graph. Shapes with the same texts have the same nodes and
// edges. (This is colour refinement: each round adds the colours of the neighbours.)
func (s *shape) colours(label func(*shapeNode) string) []string {
	colour := map[*shapeNode]string{}
	for _, n := range s.nodes {
		colour[n] = label(n)
	}
	for range s.nodes {
		finer := map[*shapeNode]string{}
		for _, n := range s.nodes {
			sum := sha256.Sum256(fmt.Append(nil, colour[n], coloursOf(n.next, colour), coloursOf(n.before, colour)))
			finer[n] = fmt.Sprintf("%x", sum[:6])
		}
		colour = finer
	}
	var out []string
	for _, n := range s.nodes {
		out = append(out, label(n)+" "+colour[n])
	}
	slices.Sort(out)
	return out
}

func coloursOf(nodes []*shapeNode, colour map[*shapeNode]string) (out []string) {
	for _, n := range nodes {
		out = append(out, colour[n])
	}
	slices.Sort(out)
	return out
}
