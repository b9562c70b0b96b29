package assignment

import (
	"cmp"
	"slices"
)

// Member is a process of the application as the group's leader sees it.
type Member struct {
	// ID is the member ID that the group's coordinator gave; it is unique in the group.
	ID string
	// InstanceID is the group.instance.id of a static member, empty for a dynamic one.
	InstanceID string
	// ProcessID is the UUID in the state directory.
	ProcessID string
	// Fingerprint is that of the process's topology. Only members whose fingerprint equals the topology's get tasks.
	Fingerprint string
	// Endpoint is where other processes reach it, empty if nowhere.
	Endpoint string
	// Capacity is its number of workers; less than one counts as one.
	Capacity int
	// Nonce is new whenever the process wanted a new assignment. It has no part in the plan.
	Nonce uint64
	// Owned are the tasks that it runs now. A task that several members own counts as the first one's, in order of instance ID, process ID and ID.
	Owned []TaskID
	// Lags says, for each task with state on its disk, how many changelog records that state is behind; 0 is caught up.
	Lags map[TaskID]int64
}

func (m Member) capacity() int64 { return int64(max(m.Capacity, 1)) }

// compareMembers orders by what outlives a restart first, so that a group that starts anew finds the same order.
func compareMembers(a, b Member) int {
	return cmp.Or(
		cmp.Compare(a.InstanceID, b.InstanceID),
		cmp.Compare(a.ProcessID, b.ProcessID),
		cmp.Compare(a.ID, b.ID),
	)
}

// Tasks are the tasks of one member, by what it does with them.
type Tasks struct {
	// Active are the tasks that the member runs, in order.
	Active []TaskID
}

// Plan has an entry for each member of the group, by member ID, also for members without tasks.
type Plan map[string]Tasks

func (p TopicPartition) compare(o TopicPartition) int {
	return cmp.Or(cmp.Compare(p.Topic, o.Topic), cmp.Compare(p.Partition, o.Partition))
}

// eligible are the members that may run tasks of t, in their order.
func eligible(t Topology, members []Member) []Member {
	var out []Member
	for _, m := range members {
		if m.Fingerprint == t.Fingerprint {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, compareMembers)
	return out
}
