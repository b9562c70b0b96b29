package graph

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/store"
)

// Pattern stands for the topics of a source whose names are not known before the start.
type Pattern struct {
	Name string // of the source; it never changes when topics come and go
	Text string // a regular expression for whole names

	whole *regexp.Regexp
}

// NewPattern returns a pattern. The error is that of package regexp.
func NewPattern(name, text string) (*Pattern, error) {
	// An expression such as "a)|(b" must not get a meaning from the group around it.
	if _, err := regexp.Compile(text); err != nil {
		return nil, err
	}
	whole, err := regexp.Compile(`\A(?:` + text + `)\z`)
	return &Pattern{Name: name, Text: text, whole: whole}, err
}

// Matches reports whether the expression matches the whole name of a topic.
func (p *Pattern) Matches(topic string) bool { return p.whole.MatchString(topic) }

// String returns how errors and shapes name the pattern.
func (p *Pattern) String() string { return fmt.Sprintf("the pattern %q", p.Text) }

// Patterns returns the patterns of all sources, in build order.
func (g *Graph) Patterns() (patterns []*Pattern) {
	for _, s := range g.SubTopologies {
		patterns = append(patterns, s.Patterns...)
	}
	return patterns
}

// PatternsAtEnd returns the sources that have a pattern and begin at the end of the
// topics that matched it first, in build order.
func (g *Graph) PatternsAtEnd() (sources []*Node) {
	for _, n := range g.Nodes {
		if n.Pattern != nil && n.SourceOpts.StartAt == Latest {
			sources = append(sources, n)
		}
	}
	return sources
}

// Matched returns the pattern by which the graph reads a topic, or nil if a source names
// the topic or none reads it.
func (g *Graph) Matched(topic string) *Pattern {
	for _, n := range g.Nodes {
		if n.Pattern != nil && slices.Contains(n.Topics, Topic{Name: topic}) {
			return n.Pattern
		}
	}
	return nil
}

// MatchedDigest stands for the topics that the graph reads by patterns. It is empty if
// the graph has no patterns.
func (g *Graph) MatchedDigest() string {
	if len(g.Patterns()) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, n := range g.Nodes {
		if n.Pattern != nil {
			for _, t := range n.Topics { // topic names have no slash
				fmt.Fprintf(sum, "%s/", t.Name)
			}
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// Matching returns the names that a pattern of the graph matches, in order. The
// application's own topics are not among them.
func (g *Graph) Matching(applicationID string, names []string) (matching []string) {
	for _, name := range names {
		matches := func(p *Pattern) bool { return p.Matches(name) }
		if slices.ContainsFunc(g.Patterns(), matches) && !g.own(applicationID, name) {
			matching = append(matching, name)
		}
	}
	slices.Sort(matching)
	return slices.Compact(matching)
}

// own reports whether a topic belongs to the application itself. The changelog of a store
// that the topology no longer has belongs to it too.
func (g *Graph) own(applicationID, topic string) bool {
	_, internal := g.internalTopics(applicationID)[topic]
	return internal || NamesInternal(applicationID, topic)
}

// NamesInternal reports whether a topic has the name of an internal topic of an
// application, whatever its topology is.
func NamesInternal(applicationID, topic string) bool {
	rest, ok := strings.CutPrefix(topic, applicationID)
	if !ok || !strings.HasPrefix(rest, "-") {
		return false
	}
	suffixes := []string{store.ChangelogSuffix, RepartitionSuffix, RegistrationSuffix, ResponseSuffix, registrySuffix}
	return slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(rest, suffix) })
}

// Resolve returns the graph in which the sources with a pattern read those of the topics
// that the pattern matches. The topics come from [Graph.Matching]. The structure, the
// names of the sub-topologies and the shape stay the same. A graph without patterns is
// returned as it is. The error joins one for each topic that two sources would read.
func (g *Graph) Resolve(topics []string) (*Graph, error) {
	if len(g.Patterns()) == 0 {
		return g, nil
	}
	if err := g.contested(topics); err != nil {
		return nil, err
	}
	out, nodes := g.clone()
	for _, n := range nodes {
		if n.Pattern == nil {
			continue
		}
		n.Topics = nil
		for _, topic := range topics {
			if n.Pattern.Matches(topic) {
				n.Topics = append(n.Topics, Topic{Name: topic})
			}
		}
	}
	for _, s := range out.SubTopologies {
		s.Sources = nil
		for _, n := range s.Nodes {
			s.Sources = append(s.Sources, n.Topics...)
		}
		s.CoPartitioned = coPartitioned(s)
	}
	return out, nil
}

// contested returns an error for each topic that two sources would read.
func (g *Graph) contested(topics []string) error {
	var problems []error
	for _, topic := range topics {
		var by []string
		for _, n := range g.Nodes {
			switch {
			case n.Kind == Source && n.Pattern == nil && slices.Contains(n.Topics, Topic{Name: topic}):
				by = append(by, fmt.Sprintf("source %s, which names it", n.Name))
			case n.Pattern != nil && n.Pattern.Matches(topic):
				by = append(by, fmt.Sprintf("source %s, %v", n.Name, n.Pattern))
			}
		}
		if len(by) > 1 {
			problems = append(problems, fmt.Errorf("topic %s is read by two sources (%s), but only one may read a topic: change a pattern so that it does not match the topic",
				topic, strings.Join(by, "; ")))
		}
	}
	return errors.Join(problems...)
}

// clone returns a copy that shares with g only what Resolve does not change.
func (g *Graph) clone() (*Graph, []*Node) {
	copies := make(map[*Node]*Node, len(g.Nodes))
	nodes := make([]*Node, len(g.Nodes))
	for i, n := range g.Nodes {
		copied := *n
		copies[n], nodes[i] = &copied, &copied
	}
	of := func(all []*Node) []*Node {
		out := make([]*Node, len(all))
		for i, n := range all {
			out[i] = copies[n]
		}
		return out
	}
	for _, n := range nodes {
		n.Parents, n.Children = of(n.Parents), of(n.Children)
	}
	out := *g
	out.Nodes, out.Stores, out.SubTopologies = nodes, nil, nil
	stores := make(map[*Store]*Store)
	copyOf := func(s *Store) *Store {
		if stores[s] == nil {
			copied := *s
			copied.Nodes = of(s.Nodes)
			stores[s] = &copied
		}
		return stores[s]
	}
	for _, s := range g.Stores {
		out.Stores = append(out.Stores, copyOf(s))
	}
	for _, s := range g.SubTopologies {
		copied := *s
		copied.Nodes, copied.Stores = of(s.Nodes), nil
		for _, kept := range s.Stores { // the store of operator times is only here
			copied.Stores = append(copied.Stores, copyOf(kept))
		}
		out.SubTopologies = append(out.SubTopologies, &copied)
	}
	return &out, nodes
}

// MayShrink reports whether the tasks of a sub-topology may become fewer because topics
// that matched a pattern are gone: each of the other topics has its partitions in the
// tasks that it had before. If nodes need that equal keys meet, all topics have equally
// many partitions, so another number means that keys have moved.
func (s *SubTopology) MayShrink() bool {
	return len(s.Patterns) > 0 && !slices.ContainsFunc(s.Nodes, func(n *Node) bool { return n.Keyed })
}

// Following returns the repartition topics whose numbers of partitions depend on the
// topics that match a pattern.
func (g *Graph) Following() (following []*RepartitionTopic) {
	open := make(map[int]bool) // sub-topologies whose topics are not all known
	for _, s := range g.SubTopologies {
		open[s.ID] = len(s.Patterns) > 0
	}
	for range g.Repartitions { // each round finds one at least
		for _, r := range g.Repartitions {
			if open[r.From] && r.Partitions == 0 && !r.Message && !slices.Contains(following, r) {
				following = append(following, r)
				open[r.To] = true
			}
		}
	}
	return following
}

// Keep returns the graph in which the topics of [Graph.Following] have the given numbers
// of partitions. Topics without a number are left as they are.
func (g *Graph) Keep(counts map[Topic]int32) *Graph {
	following := g.Following()
	out := *g
	out.Repartitions = nil
	for _, r := range g.Repartitions {
		kept := *r
		if n := counts[r.Topic]; n > 0 && slices.Contains(following, r) {
			kept.Partitions = n
		}
		out.Repartitions = append(out.Repartitions, &kept)
	}
	return &out
}

// nameOf returns the name of a sub-topology: the smallest of the topics that are named,
// and of the sources with patterns.
func (g *Graph) nameOf(s *SubTopology) string {
	var names []string
	for _, t := range s.Sources {
		if !g.isMessage(t) {
			names = append(names, t.Name)
		}
	}
	for _, p := range s.Patterns {
		names = append(names, p.Name)
	}
	if len(names) == 0 {
		return ""
	}
	return slices.MinFunc(names, cmp.Compare[string])
}
