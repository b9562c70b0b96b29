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
//   - The source topic of a table is its changelog with SourceAsChangelog. Millrace
//     refuses that if a restore might be wrong; see ownChangelogs.
const optimization = "topology.optimization"

const (
	mergeTopics = "merge.repartition.topics"
	singleStore = "single.store.self.join"
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

// sourceIsChangelog reports whether the topic of a table is to be its changelog: the case
// asks for it, and Millrace has it.
func (b *builder) sourceIsChangelog(o op, keys *dynamic) bool {
	return optimizes(b.c, reuseSource) && !b.keepsOwnChangelog(o, keys) && !o.child("materialized").isOff("logging")
}

// keepsOwnChangelog reports whether Millrace refuses SourceAsChangelog for a table.
func (b *builder) keepsOwnChangelog(o op, keys *dynamic) bool {
	return needsOldRows(b.c, o.id()) || !keys.Canonical() || o.child("materialized").has("versioned") ||
		!slices.Contains([]string{"", "fail-on-invalid", "log-and-skip"}, o.text("extractor"))
}

// needsOldRows reports whether an operation on a table needs the old rows of its updates.
func needsOldRows(c *testCase, id string) bool {
	return slices.ContainsFunc(c.Topology, func(o op) bool {
		if o.text("from") != id && o.text("with") != id {
			return false
		}
		switch o.text("op") {
		case "toStream":
			return false
		case "mapValues", "transformValues":
			return len(o.child("materialized")) > 0 || needsOldRows(c, o.id())
		case "join":
			isTable := func(id string) bool {
				return slices.ContainsFunc(c.Topology, func(o op) bool { return o.id() == id && makesTable(c, o) })
			}
			return isTable(o.text("from")) // a stream only looks rows up
		}
		return true
	})
}

// makesTable reports whether the result of an operation is a table.
func makesTable(c *testCase, o op) bool {
	switch o.text("op") {
	case "table", "toTable", "count", "reduce", "aggregate", "suppress":
		return true
	case "filter", "filterNot", "mapValues", "transformValues", "join":
		return slices.ContainsFunc(c.Topology, func(p op) bool { return p.id() == o.text("from") && makesTable(c, p) })
	}
	return false
}

// ownChangelogs allows the changelog of a table that Millrace does not restore from its
// topic: each record of it is one of the topic.
func ownChangelogs(s *subject, d difference) bool {
	if !optimizes(s.c, reuseSource) || d.step == 0 || len(d.want) > 0 || len(d.got) == 0 || len(d.got) > 2 {
		return false
	}
	st := &s.c.Steps[d.step-1]
	// See newestVersionLast.
	if again := len(d.got) == 2; again && !s.keepsVersions(st.Pipe) {
		return false
	}
	return slices.ContainsFunc(s.c.Topology, func(o op) bool {
		store := o.child("materialized").text("name")
		if store == "" {
			store = o.text("topic")
		}
		return o.text("op") == "table" && o.text("topic") == st.Pipe && strings.HasPrefix(d.topic, applicationID+"-"+store) &&
			strings.HasSuffix(d.topic, "-changelog") && s.o.built.ownChangelogs[o.id()]
	})
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
