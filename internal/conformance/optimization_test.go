package conformance

import (
	"slices"
	"strings"
)

// optimization is the configuration with which Kafka Streams changes a topology. In
// Millrace the program says the same with operators:
//
//   - A Grouped, or a stream behind a Repartition, shares its topic with all operators
//     behind it. Kafka Streams merges topics, and so drops names that the user gave.
//   - A stream that is joined with itself always has one store.
//   - The source topic of a table is never its changelog.
const optimization = "topology.optimization"

const (
	mergeTopics = "merge.repartition.topics"
	reuseSource = "reuse.ktable.source.topics"
)

// optimizes reports whether the case asks for an optimisation.
func optimizes(c *testCase, what string) bool {
	asked := op(c.Config).text(optimization)
	return asked == "all" || slices.Contains(strings.Split(asked, ","), what)
}

// byKey groups a stream whose key has changed, for the operation with the given ID. If
// the case merges topics, all groupings of that operation share the topic of the first
// one.
func (b *builder) byKey(id string, s stream, name string) grouped {
	if !optimizes(b.c, mergeTopics) {
		return s.countNullKeys(b.built.nullKeys).groupByKey(name)
	}
	if b.repartitioned[id] == nil {
		b.repartitioned[id] = s.countNullKeys(b.built.nullKeys).repartition(name, nil)
	}
	return b.repartitioned[id].groupByKey(name + "-by")
}

// shared returns a stream whose key has changed, for the operation with the given ID that
// reads it. If the case merges topics and other operations read the stream too, all of
// them share an explicit Repartition, which has the name of the first. name returns that
// name.
func (b *builder) shared(id string, s stream, name func() string) stream {
	if !s.isRekeyed() || !optimizes(b.c, mergeTopics) || b.readers(id) < 2 {
		return s
	}
	if b.repartitioned[id] == nil {
		b.repartitioned[id] = s.countNullKeys(b.built.nullKeys).repartition(name(), nil)
	}
	return b.repartitioned[id]
}

// readers returns the number of operations that read another one.
func (b *builder) readers(id string) (n int) {
	for _, o := range b.c.Topology {
		if o.text("from") == id || o.text("with") == id {
			n++
		}
	}
	return n
}

// repartitionsInPlace allows other nodes and other numbers of sub-topologies if topics
// are merged and all topics and stores are the same.
func repartitionsInPlace(s *subject, d difference) bool {
	return optimizes(s.c, mergeTopics) && d.sameEnds
}

// sameEnds reports whether the two graphs have the same topics and stores.
func (s *shapes) sameEnds() bool {
	return slices.Equal(s.theirs.ends(), s.ours.ends())
}

// ends returns the sources, the sinks, and the nodes that have stores, without their
// places.
func (s *shape) ends() (out []string) {
	for _, n := range s.nodes {
		if len(n.what) > 0 {
			out = append(out, n.kind+" "+n.detail+" "+strings.Join(n.what, ", "))
		}
	}
	slices.Sort(out)
	return out
}
