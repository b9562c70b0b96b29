package runtime

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/topics"
)

// missingError names topics that do not exist.
type missingError struct{ inputs, outputs []string }

func (e *missingError) Error() string {
	var parts []string
	if len(e.inputs) > 0 {
		parts = append(parts, "the application reads "+strings.Join(e.inputs, ", "))
	}
	if len(e.outputs) > 0 {
		parts = append(parts, "the application writes "+strings.Join(e.outputs, ", "))
	}
	return "topics do not exist: " + strings.Join(parts, "; ") + ": create them, correct their names, or set Config.WaitForTopics"
}

// prepareTopics finds the topics of the topology, creates or checks the internal ones,
// and takes the numbers of partitions.
func (s *Run) prepareTopics() error {
	if err := s.findTopics(); err != nil {
		return err
	}
	counts, err := s.graph.PartitionCounts(func(topic string) (int32, error) { return s.topics.Partitions(s.soft, topic) })
	if err != nil {
		return err
	}
	s.layout.counts = counts
	if err := s.checkCounts(); err != nil {
		return err
	}
	if err := s.checkState(); err != nil {
		return err
	}
	for _, u := range s.graph.UnevenStores(counts) {
		s.log.Warn("records with equal keys do not meet in a store: their topics have different numbers of partitions; topology.Repartition would bring them together",
			"store", u.Store, "partitions", u.Counts)
	}
	specs := s.internalTopics()
	return s.untilReachable("preparing internal topics", func(ctx context.Context) error {
		described, err := topics.Ensure(ctx, s.client, specs)
		s.topics.add(described)
		if err == nil {
			s.warnOf(described)
		}
		return err
	})
}

// warnOf logs what is not right with the internal topics, though the application can run.
func (s *Run) warnOf(described map[string]topics.Topic) {
	for _, name := range slices.Sorted(maps.Keys(described)) {
		topic := described[name]
		if topic.Configs == nil {
			s.log.Warn("the configuration of an internal topic could not be read, so it was not checked: allow the application the operation DescribeConfigs on it", "topic", name)
		}
		for _, f := range topic.Warnings {
			s.log.Warn("an internal topic is not configured as the application needs it", "topic", name, "finding", f.String(), "command", topic.Command)
		}
	}
}

// findTopics describes the topics that the application does not make itself, and waits
// for them if Config.WaitForTopics says so.
func (s *Run) findTopics() error {
	inputs, outputs := s.foreignTopics()
	logged := false
	return s.untilReachable("looking for topics", func(ctx context.Context) error {
		for {
			described, err := topics.Find(ctx, s.client, slices.Concat(inputs, outputs), topics.MissingAfter)
			if err != nil {
				return err
			}
			absent := &missingError{missingOf(described, inputs), missingOf(described, outputs)}
			if len(absent.inputs)+len(absent.outputs) == 0 {
				s.topics.add(described)
				return nil
			}
			if !s.cfg.WaitForTopics {
				return absent
			}
			if !logged {
				s.log.Warn("waiting for topics", "inputs", absent.inputs, "outputs", absent.outputs)
				logged = true
			}
		}
	})
}

func missingOf(described map[string]topics.Topic, names []string) []string {
	var missing []string
	for _, name := range names {
		if described[name].Missing {
			missing = append(missing, name)
		}
	}
	return missing
}

// foreignTopics are the topics of the topology that somebody else has to make.
func (s *Run) foreignTopics() (inputs, outputs []string) {
	for _, n := range s.graph.Nodes {
		for _, t := range n.Topics {
			if !t.Internal && !slices.Contains(inputs, t.Name) {
				inputs = append(inputs, t.Name)
			}
		}
	}
	output := func(topic string) {
		if topic != "" && !slices.Contains(inputs, topic) && !slices.Contains(outputs, topic) {
			outputs = append(outputs, topic)
		}
	}
	for _, n := range s.graph.Nodes {
		if n.Kind == graph.Sink && !n.SinkTopic.Internal {
			output(n.SinkTopic.Name)
		}
	}
	output(s.cfg.Policy.DeadLetterTopic)
	return inputs, outputs
}

// internalTopics are those that the application makes.
func (s *Run) internalTopics() []topics.Spec {
	var specs []topics.Spec
	for _, p := range s.graph.Repartitions {
		specs = append(specs, topics.Spec{
			Name: p.Topic.In(s.cfg.ApplicationID), Partitions: s.layout.counts[p.Topic], ReplicationFactor: s.cfg.ReplicationFactor, Kind: topics.Repartition,
		})
	}
	for _, sub := range s.graph.SubTopologies {
		for _, kept := range sub.Stores {
			spec := kept.Spec
			if !spec.Logged() {
				continue
			}
			topic := topics.Spec{
				Name: spec.ChangelogTopic(s.cfg.ApplicationID), Partitions: s.layout.tasks(sub.ID), ReplicationFactor: s.cfg.ReplicationFactor,
			}
			if c := spec.Changelog(); c.Kind == store.WindowedChangelog {
				topic.Kind, topic.Retention = topics.ChangelogWindowed, time.Duration(c.RetentionMs)*time.Millisecond
			}
			specs = append(specs, topic)
			s.topics.logs = append(s.topics.logs, topic.Name)
		}
	}
	return specs
}
