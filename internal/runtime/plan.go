package runtime

import (
	"errors"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/topics"
	"github.com/millrace-streams/millrace/processor"
)

// plan is the topology as it is in Kafka for this run: with the application's ID in the
// names of internal topics, and with the numbers of partitions. It is immutable.
type plan struct {
	application string
	graph       *graph.Graph
	counts      map[graph.Topic]int32 // partitions of the topics that are read
}

// errPartitionsChanged is in the chain of errors about topics whose number of partitions
// has changed.
var errPartitionsChanged = errors.New("the number of partitions has changed")

// name returns the full name of a topic.
func (p *plan) name(t graph.Topic) string { return t.In(p.application) }

// topic finds a topic that is read, by its full name.
func (p *plan) topic(name string) (graph.Topic, bool) {
	for t := range p.counts {
		if p.name(t) == name {
			return t, true
		}
	}
	return graph.Topic{}, false
}

// isGlobal reports whether a global store reads a topic.
func (p *plan) isGlobal(topic string) bool {
	return slices.ContainsFunc(p.graph.Globals, func(g *graph.Global) bool { return g.Topic.Name == topic })
}

// source returns the options of the source that reads a topic.
func (p *plan) source(topic graph.Topic) graph.SourceOptions {
	for _, n := range p.graph.Nodes {
		for _, t := range n.Topics {
			if t == topic {
				return n.SourceOpts
			}
		}
	}
	return graph.SourceOptions{}
}

// sub returns the sub-topology of a task.
func (p *plan) sub(id taskid.ID) *graph.SubTopology {
	return p.graph.SubTopologies[id.SubTopology]
}

// stateful reports whether a task has a database.
func (p *plan) stateful(id taskid.ID) bool { return len(p.sub(id).Stores) > 0 }

// tasks returns the number of tasks of a sub-topology.
func (p *plan) tasks(sub int) (n int32) {
	for _, t := range p.graph.SubTopologies[sub].Sources {
		n = max(n, p.counts[t])
	}
	return n
}

// task returns the public identity of a task.
func (p *plan) task(id taskid.ID) processor.Task {
	return id.Task(p.tasks(int(id.SubTopology)))
}

func (p *plan) taskList(ids []taskid.ID) []processor.Task {
	out := make([]processor.Task, len(ids))
	for i, id := range ids {
		out[i] = p.task(id)
	}
	return out
}

// inputs returns the partitions that a task reads.
func (p *plan) inputs(id taskid.ID) []inputs.Partition {
	var read []inputs.Partition
	for _, topic := range p.sub(id).Sources {
		if id.Partition < p.counts[topic] {
			read = append(read, inputs.Partition{Topic: p.name(topic), Partition: id.Partition})
		}
	}
	return read
}

// changelog returns the topic of a store's changelog.
func (p *plan) changelog(spec *store.Spec) string { return spec.ChangelogTopic(p.application) }

// changelogs returns the topics of all changelogs that exist. While no topic matches the
// patterns of a sub-topology, its changelogs do not exist.
func (p *plan) changelogs() []string {
	var names []string
	for _, sub := range p.graph.SubTopologies {
		if p.tasks(sub.ID) == 0 {
			continue
		}
		for _, kept := range sub.Stores {
			if kept.Spec.Logged() {
				names = append(names, p.changelog(kept.Spec))
			}
		}
	}
	return names
}

// restoredFrom returns the topic from which a store is restored: its changelog, or the
// topic of its table. It is "" if there is none.
func (p *plan) restoredFrom(s *graph.Store) string {
	switch {
	case s.FromTopic != nil:
		return s.FromTopic.Topic
	case s.Spec.Logged():
		return p.changelog(s.Spec)
	}
	return ""
}

// tableTopics returns the topics from which tables without a changelog of their own are
// restored.
func (p *plan) tableTopics() []string { return tableTopics(p.graph) }

func tableTopics(g *graph.Graph) (names []string) {
	for _, s := range g.Stores {
		if s.FromTopic != nil {
			names = append(names, s.FromTopic.Topic)
		}
	}
	return names
}

// hasWindows reports whether there is a store with a windowed changelog.
func (p *plan) hasWindows() bool {
	for _, sub := range p.graph.SubTopologies {
		for _, kept := range sub.Stores {
			if kept.Spec.Changelog().Kind == store.WindowedChangelog {
				return true
			}
		}
	}
	return false
}

// downstream returns the repartition topics and the changelogs behind a sub-topology, in
// all partitions. Repartition topics that lead to no store are left out.
func (p *plan) downstream(sub int) []restore.Partition { return p.behind(sub, map[int]bool{}) }

func (p *plan) behind(sub int, seen map[int]bool) (parts []restore.Partition) {
	if seen[sub] {
		return nil
	}
	seen[sub] = true
	for _, r := range p.graph.Repartitions {
		if r.From != sub {
			continue
		}
		behind := p.behind(r.To, seen)
		for _, kept := range p.graph.SubTopologies[r.To].Stores {
			if kept.Spec.Logged() {
				behind = append(behind, partitionsOf(p.changelog(kept.Spec), p.tasks(r.To))...)
			}
		}
		if len(behind) > 0 {
			parts = append(append(parts, partitionsOf(p.name(r.Topic), p.counts[r.Topic])...), behind...)
		}
	}
	return parts
}

func partitionsOf(topic string, n int32) []restore.Partition {
	parts := make([]restore.Partition, n)
	for i := range parts {
		parts[i] = restore.Partition{Topic: topic, Partition: int32(i), From: -1}
	}
	return parts
}

// internalTopics returns the topics that the application creates. Their numbers of
// partitions must be known.
func (p *plan) internalTopics(replicationFactor int16) []topics.Spec {
	var specs []topics.Spec
	for _, r := range p.graph.Repartitions {
		if p.counts[r.Topic] == 0 {
			continue
		}
		specs = append(specs, topics.Spec{
			Name: p.name(r.Topic), Partitions: p.counts[r.Topic], ReplicationFactor: replicationFactor, Kind: topics.Repartition,
		})
	}
	for _, sub := range p.graph.SubTopologies {
		for _, kept := range sub.Stores {
			if !kept.Spec.Logged() || p.tasks(sub.ID) == 0 {
				continue
			}
			topic := topics.Spec{Name: p.changelog(kept.Spec), Partitions: p.tasks(sub.ID), OrMore: sub.MayShrink(), ReplicationFactor: replicationFactor}
			c := kept.Spec.Changelog()
			topic.Retention = time.Duration(c.RetentionMs) * time.Millisecond
			switch c.Kind {
			case store.WindowedChangelog:
				topic.Kind = topics.ChangelogWindowed
			case store.VersionedChangelog:
				topic.Kind = topics.ChangelogVersioned
			}
			specs = append(specs, topic)
		}
	}
	return specs
}

// forAssignment returns the topology in the form that the group's leader uses.
func (p *plan) forAssignment() assignment.Topology {
	t := assignment.Topology{Fingerprint: p.graph.Shape().Fingerprint(), Matched: p.graph.MatchedDigest()}
	for _, sub := range p.graph.SubTopologies {
		if p.tasks(sub.ID) == 0 { // no topic matches its patterns yet
			continue
		}
		with := assignment.SubTopology{ID: int32(sub.ID), Stateful: len(sub.Stores) > 0}
		for _, topic := range sub.Sources {
			with.Sources = append(with.Sources, assignment.Source{Topic: p.name(topic)})
		}
		t.SubTopologies = append(t.SubTopologies, with)
	}
	return t
}
