package graph

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/store"
)

// PartitionCounts returns the number of partitions of every topic that the graph reads,
// by Topic.
//
//   - For a source topic, count decides.
//   - For a repartition topic, the topology may give the number.
//   - Otherwise a repartition topic has as many as the topics with which it is
//     co-partitioned.
//   - If these are repartition topics without a number too, all of them have as many as
//     the largest topic that feeds one of them.
//   - The topics that feed a topic of messages do not count.
//
// The error joins all groups of topics that must have the same number of partitions but
// do not.
func (g *Graph) PartitionCounts(count func(topic string) (int32, error)) (map[Topic]int32, error) {
	counts := make(map[Topic]int32)
	if err := g.countSources(count, counts); err != nil {
		return nil, err
	}
	fixed := g.fix(counts)
	// This ends, even with cycles: counts only grow, and the largest given count bounds
	// them.
	for changed := true; changed; {
		changed = g.inherit(counts, fixed)
	}
	return counts, g.checkCounts(counts)
}

func (g *Graph) countSources(count func(string) (int32, error), counts map[Topic]int32) error {
	var problems []error
	for _, n := range g.Nodes {
		for _, t := range n.Topics {
			if t.Internal {
				continue
			}
			c, err := count(t.Name)
			if err != nil {
				problems = append(problems, fmt.Errorf("source %s: %w", n.Name, err))
				continue
			}
			counts[t] = c
		}
	}
	return errors.Join(problems...)
}

// fix sets the counts of the repartition topics whose number does not depend on the
// topics that feed them, and returns these topics.
func (g *Graph) fix(counts map[Topic]int32) (fixed map[Topic]bool) {
	fixed = make(map[Topic]bool)
	for _, r := range g.Repartitions {
		if r.Partitions > 0 {
			counts[r.Topic], fixed[r.Topic] = r.Partitions, true
		}
	}
	for _, s := range g.SubTopologies {
		for _, group := range s.CoPartitioned {
			given := slices.IndexFunc(group, func(t Topic) bool { return !t.Internal || fixed[t] })
			if given < 0 {
				continue
			}
			for _, t := range group {
				if t.Internal && !fixed[t] {
					counts[t], fixed[t] = counts[group[given]], true
				}
			}
		}
	}
	return fixed
}

// CheckFixed returns the error of PartitionCounts for the groups of topics whose numbers
// the topology itself fixes.
func (g *Graph) CheckFixed() error {
	counts := make(map[Topic]int32)
	for _, r := range g.Repartitions {
		if r.Partitions > 0 {
			counts[r.Topic] = r.Partitions
		}
	}
	var problems []error
	for _, s := range g.SubTopologies {
		for _, group := range s.CoPartitioned {
			said := slices.DeleteFunc(slices.Clone(group), func(t Topic) bool { return counts[t] == 0 })
			if !even(said, counts) {
				problems = append(problems, unequal(said, counts))
			}
		}
	}
	return errors.Join(problems...)
}

// even reports whether topics have the same number of partitions.
func even(topics []Topic, counts map[Topic]int32) bool {
	return !slices.ContainsFunc(topics, func(t Topic) bool { return counts[t] != counts[topics[0]] })
}

// inherit raises the counts of repartition topics to those of the topics that feed them
// and of their group.
func (g *Graph) inherit(counts map[Topic]int32, fixed map[Topic]bool) (changed bool) {
	raise := func(t Topic, c int32) {
		if t.Internal && !fixed[t] && counts[t] < c {
			counts[t], changed = c, true
		}
	}
	for _, r := range g.Repartitions {
		if r.Message {
			continue
		}
		for _, source := range g.SubTopologies[r.From].Sources {
			raise(r.Topic, counts[source])
		}
	}
	for _, s := range g.SubTopologies {
		for _, group := range s.CoPartitioned {
			for _, t := range group {
				for _, other := range group {
					raise(t, counts[other])
				}
			}
		}
	}
	return changed
}

func (g *Graph) checkCounts(counts map[Topic]int32) error {
	var problems []error
	for _, s := range g.SubTopologies {
		for _, group := range s.CoPartitioned {
			if !even(group, counts) {
				problems = append(problems, unequal(group, counts))
			}
		}
	}
	return errors.Join(problems...)
}

// Uneven is a store that gets records from topics with different numbers of partitions.
type Uneven struct {
	Store  string
	Counts string // the topics with their numbers
}

// UnevenStores returns the stores in which records with equal keys may not meet. Stores
// of keyed nodes are not among them, because PartitionCounts refuses them. A user's
// processor may not need that keys meet.
func (g *Graph) UnevenStores(counts map[Topic]int32) (uneven []Uneven) {
	for _, s := range g.Stores {
		var read []Topic
		seen := make(map[*Node]bool)
		for _, n := range s.Nodes {
			read = upstream(n, read, seen)
		}
		if !even(read, counts) {
			uneven = append(uneven, Uneven{s.Name, listed(read, counts)})
		}
	}
	return uneven
}

func unequal(group []Topic, counts map[Topic]int32) error {
	return fmt.Errorf("topics whose records are grouped together or joined must have the same number of partitions, but %s: send them through topology.Repartition "+
		"(topology.Source, Repartition and ToTable instead of SourceTable), without topology.Partitions or with equal numbers",
		listed(group, counts))
}

func listed(group []Topic, counts map[Topic]int32) string {
	var texts []string
	for _, t := range group {
		texts = append(texts, fmt.Sprintf("%s has %d", t.Name, counts[t]))
	}
	return strings.Join(texts, ", ")
}

// Conflicts returns an error if a topic that the graph reads or writes has the name of
// one of the application's internal topics.
func (g *Graph) Conflicts(applicationID string) error {
	internal := g.internalTopics(applicationID)
	var problems []error
	check := func(n *Node, t Topic) {
		if what, ok := internal[t.Name]; ok && !t.Internal {
			problems = append(problems, fmt.Errorf("node %s uses the topic %s, which is %s of application %s itself: use another topic or another ApplicationID", n.Name, t.Name, what, applicationID))
		}
	}
	nodes := g.Nodes
	for _, global := range g.Globals {
		nodes = slices.Concat(nodes, global.Graph.Nodes)
	}
	for _, n := range nodes {
		check(n, n.SinkTopic)
		for _, t := range n.Topics {
			check(n, t)
		}
	}
	for name := range internal {
		if len(name) > 249 {
			problems = append(problems, fmt.Errorf("the topic name %s is longer than 249 characters: use a shorter ApplicationID or operator name", name))
		}
	}
	return errors.Join(problems...)
}

// internalTopics returns what each internal topic of the application is, by full name.
func (g *Graph) internalTopics(applicationID string) map[string]string {
	internal := map[string]string{RegistryTopic(applicationID): "the registry of the stores"}
	for _, r := range g.Repartitions {
		internal[r.Topic.In(applicationID)] = "the repartition topic " + r.Topic.Name
	}
	for _, s := range g.Stores {
		internal[store.ChangelogTopic(applicationID, s.Name)] = "the changelog of store " + s.Name
	}
	return internal
}
