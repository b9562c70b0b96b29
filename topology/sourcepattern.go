package topology

import (
	"fmt"
	"maps"
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// SourcePattern reads all topics whose whole name matches a regular expression, as one
// stream. It is [Sources] for topics whose names are not known before the start:
//
//	orders := topology.SourcePattern(b, "orders", `orders-.*`, serde.String, orderSerde)
//
// name is the name of the source. Unlike the topics, it stays the same when topics come
// and go. The directories of the state are named after it. pattern is text, so that Build
// can report a mistake in it together with all others. Its syntax is that of package
// regexp.
//
// A topic that is created while the application runs, and matches, is read without a
// restart of the process. Each process looks for such topics every ten seconds. If it
// finds one, it commits, keeps its place in the group, and starts its tasks again with
// the new topic. Rows on disk are kept. Rows in memory are restored, and global tables in
// memory are read again.
//
//   - Kafka's own topics, and the application's changelogs, repartition topics and
//     registry, never match.
//   - Build returns an error if the pattern matches a topic that another source or a
//     global store names, or to which the topology writes. If two patterns match a topic,
//     Run returns an error.
//   - If no topic matches, the operators behind the source have no tasks until one does.
//     If the topology reads nothing else, the application waits. The log says both.
//   - If a topic that matched is deleted while the application runs, Run returns an
//     error. The next start goes on without the topic. If it had more partitions than the
//     others, the rows that only its tasks had stay in the changelogs.
//   - A topic that matches later is read from its beginning, also with [StartAtLatest],
//     because its records came after the start. It may have been created while no process
//     ran. The same holds for partitions that a topic gets later, and for a topic that is
//     created again. The application's registry in Kafka records the topics and
//     partitions that matched at the first start, so that all processes agree.
//   - If the pattern is changed, topics that only the new one matches count as those of
//     the first start.
//
// Topics that are grouped together or joined without a repartitioning must have equally
// many partitions, as always. Otherwise a topic may have more partitions than those
// before it: there are then more tasks, and repartition topics keep their number. Only
// stores of a [Process] behind the source, without a repartition topic in between, have
// changelogs that would have to grow. They cannot, so Run then returns an error that
// names the topic.
func SourcePattern[K, V any](b *Builder, name, pattern string, ks serde.Serde[K], vs serde.Serde[V], opts ...SourceOption) Stream[K, V] {
	var o sourceOptions
	for _, opt := range withoutNil(opts) {
		opt.applySource(&o)
	}
	b.begin()
	s := &sourceNode{pattern: pattern, keys: ks, values: vs, opts: o}
	for _, first := range b.patterns {
		if first.pattern == pattern && first.node.name == name && first.difference(s) == "" {
			return Stream[K, V]{flow[K, V]{b: b, n: first.node, keys: ks, values: vs}}
		}
	}
	s.node = b.addPattern(name, pattern)
	b.patterns = append(b.patterns, s)
	if o.name != "" {
		b.problem("%v: has a name already: remove Named(%q)", s.node, o.name)
	}
	return decoded(b, s.node, ks, vs, o)
}

// addPattern adds the node of a source by pattern.
func (b *Builder) addPattern(name, pattern string) *node {
	n := &node{kind: graph.Source, op: "source"}
	b.add(n, name)
	b.needName(n, name, "its part of the topology")
	compiled, err := graph.NewPattern(name, pattern)
	if err != nil {
		b.problem("%v: the pattern %q is no regular expression: %v", n, pattern, err)
		return n
	}
	n.pattern = compiled
	return n
}

// checkPatterns reports topics that a pattern must not match.
func (b *Builder) checkPatterns() (problems []error) {
	for i, s := range b.patterns {
		if s.node.pattern == nil { // addPattern has reported it
			continue
		}
		wrong := slices.Concat(s.sharedWith(b.patterns[:i]), b.namesTopicsOf(s), b.writesTopicsOf(s))
		for _, text := range wrong {
			problems = append(problems, fmt.Errorf("topology: %v: %s", s.node, text))
		}
	}
	return problems
}

// sharedWith reports an equal pattern of another source.
func (s *sourceNode) sharedWith(others []*sourceNode) (wrong []string) {
	for _, other := range others {
		switch {
		case other.pattern != s.pattern:
		case other.node.name != s.node.name:
			wrong = append(wrong, fmt.Sprintf("%v reads %v too: use its stream twice", other.node, s.node.pattern))
		default: // checkName has reported the name
			wrong = append(wrong, fmt.Sprintf("reads %v a second time, and the two differ in %s: use the stream of the first one twice",
				s.node.pattern, other.difference(s)))
		}
	}
	return wrong
}

// namesTopicsOf reports topics that a pattern matches and that another source names.
func (b *Builder) namesTopicsOf(s *sourceNode) (wrong []string) {
	p := s.node.pattern
	for _, topic := range slices.Sorted(maps.Keys(b.sources)) {
		named := b.sources[topic].node
		if topic == p.Name {
			wrong = append(wrong, fmt.Sprintf("has the name of a topic that %v reads: give it another name", named))
		}
		if p.Matches(topic) {
			wrong = append(wrong, fmt.Sprintf("%v matches topic %q, which %v names: change the pattern, or leave out the other source", p, topic, named))
		}
	}
	for _, g := range b.globals {
		if p.Matches(g.topic) {
			wrong = append(wrong, fmt.Sprintf("%v matches the topic of the %v: change the pattern", p, g))
		}
	}
	return wrong
}

// writesTopicsOf reports topics that a pattern matches and to which the topology writes.
func (b *Builder) writesTopicsOf(s *sourceNode) (wrong []string) {
	for _, n := range b.nodes {
		if t := n.sinkTopic; t.Name != "" && !t.Internal && s.node.pattern.Matches(t.Name) {
			wrong = append(wrong, fmt.Sprintf("%v matches topic %q, to which %v writes, so that its records would come back: change the pattern, or write to another topic",
				s.node.pattern, t.Name, n))
		}
	}
	return wrong
}
