package conformance

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// description is the text of a topology, read back. The format is that of Kafka Streams'
// Topology.describe(), which tools that draw topologies read.
type description struct {
	parts []describedPart
}

// describedPart is a sub-topology.
type describedPart struct {
	title string // what follows "Sub-topology: "
	nodes []*describedNode
}

// describedNode is a node of a description.
type describedNode struct {
	kind   string // Source, Processor or Sink
	name   string
	detail string // "topics", "stores", "topic" or "extractor class"
	what   string // the topics or stores in brackets, or the topic or class
	next   []string
	before []string
}

var (
	partLine = regexp.MustCompile(`^  Sub-topology: (.*)$`)
	nodeLine = regexp.MustCompile(`^    (Source|Processor|Sink): (\S+) \(([a-z ]+): (.*)\)$`)
	edgeLine = regexp.MustCompile(`^      (-->|<--) (.+)$`)
)

// parseDescription reads a description. The error names the first line that has another
// form.
func parseDescription(text string) (*description, error) {
	body, ok := strings.CutPrefix(text, "Topologies:\n ")
	if !ok {
		return nil, fmt.Errorf("the text begins with %.20q", text)
	}
	d := &description{}
	for i, line := range strings.Split(body, "\n") {
		if !d.read(line) {
			return nil, fmt.Errorf("line %d has another form: %q", i+2, line)
		}
	}
	return d, nil
}

// read reads one line, and reports whether it has the right form.
func (d *description) read(line string) bool {
	if line == "" {
		return true
	}
	if m := partLine.FindStringSubmatch(line); m != nil {
		d.parts = append(d.parts, describedPart{title: m[1]})
		return true
	}
	if len(d.parts) == 0 {
		return false
	}
	part := &d.parts[len(d.parts)-1]
	if m := nodeLine.FindStringSubmatch(line); m != nil {
		part.nodes = append(part.nodes, &describedNode{kind: m[1], name: m[2], detail: m[3], what: m[4]})
		return true
	}
	m := edgeLine.FindStringSubmatch(line)
	if m == nil || len(part.nodes) == 0 {
		return false
	}
	n := part.nodes[len(part.nodes)-1]
	var list []string
	if m[2] != "none" {
		list = strings.Split(m[2], ", ")
	}
	if m[1] == "-->" {
		n.next = list
	} else {
		n.before = list
	}
	return true
}

// String writes the description in Kafka Streams' format: nodes with more nodes below
// them come first, then nodes are in order of name.
func (d *description) String() string {
	var b strings.Builder
	b.WriteString("Topologies:\n ")
	for _, part := range d.parts {
		fmt.Fprintf(&b, "  Sub-topology: %s\n", part.title)
		for _, n := range part.sorted() {
			n.write(&b)
		}
		if !strings.Contains(part.title, "global") {
			b.WriteString("\n")
		}
	}
	return b.String()
}

func (n *describedNode) write(b *strings.Builder) {
	fmt.Fprintf(b, "    %s: %s (%s: %s)\n", n.kind, n.name, n.detail, n.what)
	edge := func(arrow string, names []string) {
		if len(names) == 0 {
			names = []string{"none"}
		}
		fmt.Fprintf(b, "      %s %s\n", arrow, strings.Join(names, ", "))
	}
	if n.kind != "Sink" {
		edge("-->", n.next)
	}
	if n.kind != "Source" {
		edge("<--", n.before)
	}
}

// sorted returns the nodes in the order of the format.
func (p *describedPart) sorted() []*describedNode {
	byName := map[string]*describedNode{}
	for _, n := range p.nodes {
		byName[n.name] = n
	}
	sizes := map[string]int{}
	var size func(name string) int
	size = func(name string) int {
		if sizes[name] == 0 && byName[name] != nil {
			total := 1
			for _, next := range byName[name].next {
				total += size(next)
			}
			sizes[name] = total
		}
		return sizes[name]
	}
	return slices.SortedStableFunc(slices.Values(p.nodes), func(a, b *describedNode) int {
		return cmp.Or(size(b.name)-size(a.name), strings.Compare(a.name, b.name))
	})
}
