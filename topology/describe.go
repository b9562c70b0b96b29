package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
)

// Describe returns a description of the topology.
func (t *Topology) Describe() Description { return Description{t.g} }

// Description describes a topology: its sub-topologies with their nodes, stores and
// topics.
type Description struct {
	g *graph.Graph
}

// String returns the description in the layout of Kafka Streams' Topology.describe(),
// which tools that draw topologies can read.
//
//   - Nodes with more nodes below them come first, then nodes are in order of name.
//   - Children are in the order in which they get records.
//   - Global stores come last.
//   - Names of internal topics lack the application ID.
//   - Nodes have the names that errors and logs give them. Kafka Streams' counters, as in
//     KSTREAM-FILTER-0000000001, are left out on purpose: they change whenever an
//     operator is inserted.
//   - Names need no quotes: Build accepts only letters, digits, '.', '_' and '-'.
func (d Description) String() string {
	var text strings.Builder
	text.WriteString("Topologies:\n ")
	for _, s := range d.subTopologies() {
		fmt.Fprintf(&text, "  Sub-topology: %d\n", s.ID)
		for _, n := range described(s) {
			describeNode(&text, n)
		}
		text.WriteString("\n")
	}
	for i, g := range d.globals() {
		fmt.Fprintf(&text, "  Sub-topology: %d for global store (will not generate tasks)\n", len(d.g.SubTopologies)+i)
		for _, n := range described(g.Graph.SubTopologies[0]) {
			describeNode(&text, n)
		}
	}
	return text.String()
}

func (d Description) globals() []*graph.Global {
	if d.g == nil {
		return nil
	}
	return d.g.Globals
}

func (d Description) subTopologies() []*graph.SubTopology {
	if d.g == nil {
		return nil
	}
	return d.g.SubTopologies
}

// described returns the nodes in the order of the description: nodes with more nodes
// below them come first, then nodes are sorted by name.
func described(s *graph.SubTopology) []*graph.Node {
	sizes := make(map[*graph.Node]int, len(s.Nodes))
	for _, n := range slices.Backward(s.Nodes) {
		sizes[n] = 1
		for _, child := range n.Children {
			sizes[n] += sizes[child]
		}
	}
	return slices.SortedFunc(slices.Values(s.Nodes), func(a, b *graph.Node) int {
		return cmp.Or(sizes[b]-sizes[a], strings.Compare(a.Name, b.Name))
	})
}

func describeNode(text *strings.Builder, n *graph.Node) {
	switch n.Kind {
	case graph.Source:
		fmt.Fprintf(text, "    Source: %s (topics: %s)\n", n.Name, topicNames(n))
	case graph.Sink:
		fmt.Fprintf(text, "    Sink: %s (%s)\n", n.Name, sinkTopic(n))
	default:
		fmt.Fprintf(text, "    Processor: %s (stores: [%s])\n", n.Name, strings.Join(n.Stores, ", "))
	}
	if n.Kind != graph.Sink {
		fmt.Fprintf(text, "      --> %s\n", nodeNames(n.Children))
	}
	if n.Kind != graph.Source {
		fmt.Fprintf(text, "      <-- %s\n", nodeNames(n.Parents))
	}
}

// topicNames returns the topics of a source in brackets, or its pattern without.
func topicNames(n *graph.Node) string {
	if n.Pattern != nil {
		return n.Pattern.Text
	}
	names := make([]string, len(n.Topics))
	for i, t := range n.Topics {
		names[i] = t.Name
	}
	return "[" + strings.Join(names, ", ") + "]"
}

func sinkTopic(n *graph.Node) string {
	if n.SinkTopic.Name == "" {
		return "extractor class: func"
	}
	return "topic: " + n.SinkTopic.Name
}

func nodeNames(nodes []*graph.Node) string {
	if len(nodes) == 0 {
		return "none"
	}
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.Name
	}
	return strings.Join(names, ", ")
}

// DOT returns the description as a graph for Graphviz. Boxes are nodes, ellipses are
// topics, cylinders are stores.
func (d Description) DOT() string {
	var text strings.Builder
	text.WriteString("digraph topology {\n  rankdir=LR;\n  node [shape=box];\n")
	for _, s := range d.subTopologies() {
		fmt.Fprintf(&text, "  subgraph cluster_%d {\n    label=\"sub-topology %d\";\n", s.ID, s.ID)
		for _, n := range s.Nodes {
			fmt.Fprintf(&text, "    %s [label=%q];\n", dotNode(n), n.Type+"\n"+n.Name)
		}
		for _, store := range s.Stores {
			if store.Own {
				continue
			}
			fmt.Fprintf(&text, "    %s [label=%q shape=cylinder];\n", dotStore(store.Name), store.Name)
		}
		text.WriteString("  }\n")
	}
	for i, g := range d.globals() {
		fmt.Fprintf(&text, "  subgraph cluster_global_%d {\n    label=\"global store %s\";\n", i, g.Store.Name)
		for _, n := range g.Graph.Nodes {
			fmt.Fprintf(&text, "    %s [label=%q];\n", dotNode(n), n.Type+"\n"+n.Name)
		}
		fmt.Fprintf(&text, "    %s [label=%q shape=cylinder];\n  }\n", dotStore(g.Store.Name), g.Store.Name)
		for _, n := range g.Graph.Nodes {
			dotEdges(&text, n)
		}
	}
	for _, s := range d.subTopologies() {
		for _, n := range s.Nodes {
			dotEdges(&text, n)
		}
	}
	text.WriteString("}\n")
	return text.String()
}

func dotEdges(text *strings.Builder, n *graph.Node) {
	if n.Pattern != nil {
		pattern := fmt.Sprintf("%q", "pattern "+n.Name)
		fmt.Fprintf(text, "  %s [label=%q shape=ellipse style=dashed];\n  %s -> %s;\n", pattern, n.Pattern.Text, pattern, dotNode(n))
	}
	for _, t := range n.Topics {
		fmt.Fprintf(text, "  %s [label=%q shape=ellipse];\n  %s -> %s;\n", dotTopic(t), t.Name, dotTopic(t), dotNode(n))
	}
	for _, child := range n.Children {
		fmt.Fprintf(text, "  %s -> %s;\n", dotNode(n), dotNode(child))
	}
	for _, store := range n.Stores {
		fmt.Fprintf(text, "  %s -> %s [dir=both style=dashed];\n", dotNode(n), dotStore(store))
	}
	for _, store := range n.Globals {
		fmt.Fprintf(text, "  %s -> %s [style=dashed];\n", dotStore(store), dotNode(n))
	}
	if t := n.SinkTopic; t.Name != "" {
		fmt.Fprintf(text, "  %s [label=%q shape=ellipse];\n  %s -> %s;\n", dotTopic(t), t.Name, dotNode(n), dotTopic(t))
	}
}

func dotNode(n *graph.Node) string  { return fmt.Sprintf("%q", "node "+n.Name) }
func dotStore(name string) string   { return fmt.Sprintf("%q", "store "+name) }
func dotTopic(t graph.Topic) string { return fmt.Sprintf("%q", "topic "+t.Name) }
