package assignment

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/internal/taskid"
)

// Topology is the part of a topology that the assignment needs.
type Topology struct {
	// Fingerprint is equal in two processes if and only if their tasks mean the same.
	// Fingerprints are only compared for equality.
	Fingerprint   string
	SubTopologies []SubTopology
	// Matched stands for the topics that match patterns of the topology. Processes with
	// the same fingerprint may differ in it for a while, when a topic was created. It is
	// empty if there are no patterns.
	Matched string
}

// SubTopology is a part of the topology whose tasks are independent of each other. There
// is one task for each partition of its sources.
type SubTopology struct {
	ID int32
	// Sources are all topics that the sub-topology reads, including repartition topics.
	// No other sub-topology may read one of them: within the application, only the owner
	// of a partition reads it.
	Sources []Source
	// Stateful is true if the tasks have stores.
	Stateful bool
}

// Source is a topic that a sub-topology reads.
type Source struct {
	Topic      string
	Partitions int32
}

// TopicPartition is one partition of a topic.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Tasks returns the number of tasks: the partition count of the largest source.
func (s SubTopology) Tasks() int32 {
	var n int32
	for _, src := range s.Sources {
		n = max(n, src.Partitions)
	}
	return n
}

// Validate returns every mistake in the description. It does not look at partition
// counts.
func (t Topology) Validate() error {
	var errs []error
	if t.Fingerprint == "" {
		errs = append(errs, errors.New("the topology has no fingerprint"))
	}
	ids := map[int32]bool{}
	reader := map[string]int32{}
	for _, s := range t.SubTopologies {
		if ids[s.ID] || s.ID < 0 {
			errs = append(errs, fmt.Errorf("sub-topology %d: the number is negative or used twice", s.ID))
		}
		ids[s.ID] = true
		if len(s.Sources) == 0 {
			errs = append(errs, fmt.Errorf("sub-topology %d reads no topic, so it has no tasks", s.ID))
		}
		for _, src := range s.Sources {
			if other, found := reader[src.Topic]; found {
				errs = append(errs, fmt.Errorf("topic %q is read by sub-topologies %d and %d; they must be one", src.Topic, other, s.ID))
			}
			reader[src.Topic] = s.ID
		}
	}
	return errors.Join(errs...)
}

// Topics returns the names of all topics that the topology reads, sorted.
func (t Topology) Topics() []string {
	var names []string
	for _, s := range t.SubTopologies {
		for _, src := range s.Sources {
			names = append(names, src.Topic)
		}
	}
	slices.Sort(names)
	return names
}

// WithPartitions returns a copy of t with the partition counts from counts. missing are
// the topics, sorted, that are not in counts or have no partition there.
func (t Topology) WithPartitions(counts map[string]int32) (_ Topology, missing []string) {
	t.SubTopologies = slices.Clone(t.SubTopologies)
	for i := range t.SubTopologies {
		s := &t.SubTopologies[i]
		s.Sources = slices.Clone(s.Sources)
		for j := range s.Sources {
			src := &s.Sources[j]
			if src.Partitions = counts[src.Topic]; src.Partitions <= 0 {
				missing = append(missing, src.Topic)
			}
		}
	}
	slices.Sort(missing)
	return t, missing
}

// Tasks returns all tasks of the topology, in order.
func (t Topology) Tasks() []taskid.ID {
	var tasks []taskid.ID
	for _, s := range t.SubTopologies {
		for p := range s.Tasks() {
			tasks = append(tasks, taskid.ID{SubTopology: s.ID, Partition: p})
		}
	}
	slices.SortFunc(tasks, taskid.ID.Compare)
	return tasks
}

// Partitions returns the partitions that a task reads, in order of topics: partition p of
// every source of its sub-topology that has more than p partitions. A task that does not
// exist reads nothing.
func (t Topology) Partitions(id taskid.ID) []TopicPartition {
	i := slices.IndexFunc(t.SubTopologies, func(s SubTopology) bool { return s.ID == id.SubTopology })
	if i < 0 || id.Partition < 0 {
		return nil
	}
	var parts []TopicPartition
	for _, src := range t.SubTopologies[i].Sources {
		if id.Partition < src.Partitions {
			parts = append(parts, TopicPartition{Topic: src.Topic, Partition: id.Partition})
		}
	}
	slices.SortFunc(parts, TopicPartition.compare)
	return parts
}
