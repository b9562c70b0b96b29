package conformance

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// shapes are the graphs of two descriptions.
type shapes struct {
	theirs, ours *shape
	operators    map[string]string // of our nodes, by name
}

// liberty is a difference in the nodes of which an operator consists. take removes it
// from both graphs. The departure of the same name gives the reason.
type liberty struct {
	name string
	take func(*shapes)
}

var liberties = []liberty{
	{"stored-apart", (*shapes).storedApart},
	{"joins-of-streams", (*shapes).joinsOfStreams},
	{"one-store-for-one-stream", (*shapes).oneStoreForOneStream},
	{"foreign-joins", (*shapes).foreignJoins},
	{"cogroups", (*shapes).cogroups},
	{"globals-last", (*shapes).globalsLast},
}

// describedBy returns the rule of a liberty.
func describedBy(name string) func(*subject, difference) bool {
	return func(_ *subject, d difference) bool { return d.liberty == name }
}

// oneName allows that no node has a name if it is that of an operation, or begins with
// it.
func oneName(s *subject, d difference) bool {
	return len(d.missing) > 0 && !slices.ContainsFunc(d.missing, func(missing string) bool {
		return !slices.ContainsFunc(s.c.Topology, func(o op) bool {
			name := o.text("name")
			return name != "" && (missing == name || strings.HasPrefix(missing, name+"-"))
		})
	})
}

func (s *shapes) equal() bool {
	return slices.Equal(s.theirs.colours(s.label), s.ours.colours(s.label))
}

// label returns what must be equal in two nodes. If the case names a node, and both
// graphs have the name, it includes the name.
func (s *shapes) label(n *shapeNode) string {
	text := fmt.Sprintf("%s: %s %s %v", n.part, n.kind, n.detail, n.what)
	if s.theirs.nodes[n.name] != nil && s.ours.nodes[n.name] != nil && !madeUp.MatchString(n.name) {
		text += " " + n.name
	}
	return text
}

func (s *shapes) String() string {
	return "   got\n" + s.ours.text(s.label) + "  want\n" + s.theirs.text(s.label)
}

// text lists the nodes, each with its children.
func (s *shape) text(label func(*shapeNode) string) string {
	var out []string
	for _, n := range s.nodes {
		var next []string
		for _, c := range n.next {
			next = append(next, c.name)
		}
		slices.Sort(next)
		out = append(out, fmt.Sprintf("   %s (%s --> %s)\n", label(n), n.name, strings.Join(next, ", ")))
	}
	slices.Sort(out)
	return strings.Join(out, "")
}

// withoutOwn removes the nodes of the interpreter.
func (s *shapes) withoutOwn() {
	for name, n := range s.ours.nodes {
		switch {
		case !ownName.MatchString(name):
		case n.kind == "Sink":
			p := n.before[0] // has the name of the case's sink
			p.kind, p.detail, p.what = n.kind, n.detail, n.what
			s.ours.cut(n)
		default:
			s.ours.skip(n)
		}
	}
}

// of returns our nodes of the given operators.
func (s *shapes) of(operators ...string) (out []*shapeNode) {
	for name, n := range s.ours.nodes {
		if slices.Contains(operators, s.operators[name]) {
			out = append(out, n)
		}
	}
	return out
}

// storedApart makes one node of a node that keeps a table and the node that makes the
// table.
func (s *shapes) storedApart() {
	for _, n := range s.of("stored") {
		if len(n.before) == 1 && len(n.before[0].next) == 1 && len(n.before[0].what) == 0 {
			s.ours.join(n, n.before[0])
		}
	}
}

// joinsOfStreams makes one node of the nodes of a join of streams.
func (s *shapes) joinsOfStreams() {
	for _, n := range s.joins() {
		s.ours.join(append(slices.Clone(n.before), n)...)
		var theirs []*shapeNode
		for _, t := range s.theirs.nodes {
			if t.usesStoreOf(n) {
				theirs = append(theirs, t)
			}
		}
		for _, t := range s.theirs.nodes {
			if merges := len(t.what) == 0 && len(t.before) == 2; merges && t.before[0].usesStoreOf(n) && t.before[1].usesStoreOf(n) {
				theirs = append(theirs, t)
			}
		}
		if len(theirs) > 0 {
			s.theirs.join(theirs...)
		}
	}
}

// oneStoreForOneStream removes the stores that a stream does not need which is joined
// with itself.
func (s *shapes) oneStoreForOneStream() {
	for _, n := range s.joins() {
		if slices.Contains(n.what, n.name+"-right") {
			continue
		}
		for _, t := range s.theirs.nodes {
			if t.usesStoreOf(n) {
				t.what = slices.DeleteFunc(t.what, func(store string) bool { return !slices.Contains(n.what, store) })
			}
		}
	}
}

// joins returns our nodes that have the stores of a join of streams.
func (s *shapes) joins() []*shapeNode {
	return slices.DeleteFunc(s.of("joinWindow", "leftJoinWindow", "outerJoinWindow"), func(n *shapeNode) bool {
		return n.kind != "Processor" || len(n.what) == 0
	})
}

// usesStoreOf reports whether a node uses a store of a join of streams.
func (n *shapeNode) usesStoreOf(join *shapeNode) bool {
	return n.kind == "Processor" && slices.ContainsFunc(n.what, func(store string) bool {
		return slices.Contains([]string{join.name + "-left", join.name + "-right", join.name + "-unmatched"}, store)
	})
}

// foreignJoins makes one node of the two nodes of Kafka Streams that receive a
// subscription, and removes the edge through which our left side subscribes again.
func (s *shapes) foreignJoins() {
	for name, n := range s.ours.nodes {
		join, ok := strings.CutSuffix(name, "-subscription-receive")
		if !ok {
			continue
		}
		s.ours.disconnect(s.ours.nodes[join+"-subscription-response-resolver"], s.ours.nodes[join+"-subscription-registration-sink"])
		for _, t := range s.theirs.nodes {
			takesIn := t.kind == "Processor" && len(t.before) == 1 && t.before[0].kind == "Source" && len(t.next) == 1
			if takesIn && slices.Equal(t.what, []string{join + "-subscription-store"}) && !slices.Equal(n.what, t.what) {
				s.theirs.join(t, t.next[0])
				break
			}
		}
	}
}

// cogroups makes one node of the nodes of a cogroup's aggregation.
func (s *shapes) cogroups() {
	for _, n := range s.of("cogroup") {
		if len(n.what) == 0 {
			continue
		}
		s.ours.join(append(slices.Clone(n.before), n)...)
		for _, t := range s.theirs.nodes {
			merges := len(t.what) == 0 && len(t.before) > 0 && !slices.ContainsFunc(t.before, func(p *shapeNode) bool { return !slices.Equal(p.what, n.what) })
			if merges {
				s.theirs.join(append(slices.Clone(t.before), t)...)
				break
			}
		}
	}
}

// globalsLast numbers the sub-topologies again: those that have tasks first.
func (s *shapes) globalsLast() {
	s.theirs.globalsLast()
	s.ours.globalsLast()
}

func (s *shape) globalsLast() {
	parts := map[string]bool{}
	for _, n := range s.nodes {
		parts[n.part] = true
	}
	isGlobal := func(part string) bool { return strings.Contains(part, "for global store") }
	order := slices.SortedFunc(maps.Keys(parts), func(a, b string) int {
		if isGlobal(a) != isGlobal(b) {
			return strings.Compare(fmt.Sprint(isGlobal(a)), fmt.Sprint(isGlobal(b)))
		}
		return cmp.Compare(numberOf(a), numberOf(b))
	})
	for _, n := range s.nodes {
		_, kind, _ := strings.Cut(n.part, " ")
		n.part = strings.TrimSpace(fmt.Sprint(slices.Index(order, n.part), " ", kind))
	}
}

// numberOf returns the number at the beginning of the title of a sub-topology.
func numberOf(part string) (n int) {
	fmt.Sscan(part, &n)
	return n
}
