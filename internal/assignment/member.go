package assignment

import (
	"cmp"
	"slices"

	"github.com/millrace-streams/millrace/internal/taskid"
)

// Member is a process of the application as the group's leader sees it.
type Member struct {
	// ID is the member ID from the group's coordinator. It is unique in the group.
	ID string
	// InstanceID is the group.instance.id of a static member. It is empty for a dynamic
	// one.
	InstanceID string
	// ProcessID is the UUID in the state directory.
	ProcessID string
	// Fingerprint is the fingerprint of the process's topology. Only members whose
	// fingerprint equals the topology's get tasks.
	Fingerprint string
	// Endpoint is the address at which other processes reach the member. It is empty if
	// there is none.
	Endpoint string
	// Capacity is the number of workers. A number below one counts as one.
	Capacity int
	// Nonce changes whenever the process requests a new assignment. It does not influence
	// the plan.
	Nonce uint64
	// Owned are the tasks that the member runs now. If several members own a task, the
	// first of them counts, in order of instance ID, process ID and ID.
	Owned []taskid.ID
	// Lags has an entry for each task with state on the member's disk: the number of
	// changelog records by which this state is behind. 0 means caught up.
	Lags map[taskid.ID]int64
}

func (m Member) capacity() int64 { return int64(max(m.Capacity, 1)) }

// compareMembers compares first what survives a restart, so that a restarted group has
// the same order.
func compareMembers(a, b Member) int {
	return cmp.Or(
		cmp.Compare(a.InstanceID, b.InstanceID),
		cmp.Compare(a.ProcessID, b.ProcessID),
		cmp.Compare(a.ID, b.ID),
	)
}

// Tasks are the tasks of one member, by the member's role.
type Tasks struct {
	// Active are the tasks that the member runs, in order.
	Active []taskid.ID
}

// Plan has an entry for each member of the group, by member ID. Members without tasks
// have one too.
type Plan map[string]Tasks

func (p TopicPartition) compare(o TopicPartition) int {
	return cmp.Or(cmp.Compare(p.Topic, o.Topic), cmp.Compare(p.Partition, o.Partition))
}

// eligible returns the members that may run tasks of t, in order.
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
