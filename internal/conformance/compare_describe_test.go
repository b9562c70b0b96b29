package conformance

import (
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
)

// describe compares the text of Describe with that of Kafka Streams. Both texts must have
// the same layout. They must describe the same nodes, edges, topics and stores in the
// same sub-topologies. The names of nodes must be equal where the case names them.
func (c *comparison) describe() {
	if c.c.Describe == "" {
		return
	}
	theirs, err := parseDescription(c.c.Describe)
	if err != nil || theirs.String() != c.c.Describe {
		c.differs(inDescribe, "the case's description has another layout (%v):\n%s", err, c.c.Describe)
		return
	}
	text := c.o.built.t.Describe().String()
	ours, err := parseDescription(text)
	if err != nil || ours.String() != text {
		c.differs(inDescribe, "the description has another layout than that of Kafka Streams (%v):\n%s", err, text)
		return
	}
	s := &shapes{theirs.shape(c.o.built.names.described), ours.shape(func(name string) string { return name }), c.o.built.operators()}
	s.withoutOwn()
	c.unnamed(s)
	c.shapes(s)
}

// described returns Millrace's name of a store, or of a topic without the application ID.
func (n *names) described(name string) string {
	full := applicationID + "-" + name
	if other := n.here(full); other != full {
		return strings.TrimPrefix(other, applicationID+"-")
	}
	return n.here(name)
}

// operators returns the operator of each node, by the node's name.
func (b *built) operators() map[string]string {
	operators := map[string]string{}
	for _, n := range must(graph.Of(b.t)).Nodes {
		operators[n.Name] = n.Type
	}
	return operators
}

// unnamed reports the names that the case gives to nodes and that no node of ours has.
func (c *comparison) unnamed(s *shapes) {
	var missing []string
	for name := range s.theirs.nodes {
		if !madeUp.MatchString(name) && s.ours.nodes[name] == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		c.differs(inDescribe, "no node is called %s:\n%s", strings.Join(missing, ", "), s).missing = missing
	}
}

// shapes compares the two graphs. If they differ, it reports the liberties that make them
// equal.
func (c *comparison) shapes(s *shapes) {
	all := s.String()
	var taken []string
	for _, l := range liberties {
		if s.equal() {
			break
		}
		before := s.String()
		if l.take(s); s.String() != before {
			taken = append(taken, l.name)
		}
	}
	if !s.equal() {
		c.differs(inDescribe, "the descriptions differ:\n%s", all).sameEnds = s.sameEnds()
		return
	}
	for _, name := range taken {
		c.differs(inDescribe, "%s:\n%s", name, all).liberty = name
	}
}
