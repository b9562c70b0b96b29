package assignment

import (
	"maps"
	"slices"

	"github.com/millrace-streams/millrace/internal/taskid"
)

// claims says which member holds which partition, according to what the members sent when
// they joined.
type claims map[TopicPartition][]claim

// claim is a member's statement that it holds a partition, as of a generation of the
// group. Of two claims the newer one is right. The member with the older claim missed a
// rebalance, and may not know yet that it has lost the partition.
type claim struct {
	member     string
	generation int32
}

func (c claims) add(member string, generation int32, parts ...TopicPartition) {
	for _, p := range parts {
		c[p] = append(c[p], claim{member: member, generation: generation})
	}
}

// owned returns the tasks that each member runs. A member runs a task if it holds one of
// the task's partitions and no other member has a newer claim to that partition.
func (c claims) owned(t Topology) map[string][]taskid.ID {
	tasks := map[string][]taskid.ID{}
	for _, task := range t.Tasks() {
		holders := map[string]bool{}
		for _, part := range t.Partitions(task) {
			for _, cl := range c.current(part) {
				holders[cl.member] = true
			}
		}
		for member := range holders {
			tasks[member] = append(tasks[member], task)
		}
	}
	return tasks
}

// current returns the newest claims to a partition. There is one, unless something went
// wrong.
func (c claims) current(part TopicPartition) []claim {
	var newest []claim
	for _, cl := range c[part] {
		if len(newest) > 0 && cl.generation > newest[0].generation {
			newest = newest[:0]
		}
		if len(newest) == 0 || cl.generation == newest[0].generation {
			newest = append(newest, cl)
		}
	}
	return newest
}

// free reports whether the member may have the partition now: no other member holds it,
// or the other member's claim is older than the member's own.
func (c claims) free(member string, part TopicPartition) bool {
	newest := c.current(part)
	return len(newest) == 0 || len(newest) == 1 && newest[0].member == member
}

// withhold removes from the plan every task that still has a partition at a member other
// than the planned one. awaited are the members that hold such partitions. They must give
// these up and join again before the task can run.
func (c claims) withhold(t Topology, plan Plan) (_ Plan, awaited map[string]bool) {
	awaited = map[string]bool{}
	plan = maps.Clone(plan)
	for member, tasks := range plan {
		var active []taskid.ID
		for _, task := range tasks.Active {
			parts := t.Partitions(task)
			if !slices.ContainsFunc(parts, func(p TopicPartition) bool { return !c.free(member, p) }) {
				active = append(active, task)
				continue
			}
			for _, p := range parts {
				for _, cl := range c[p] {
					awaited[cl.member] = true
				}
			}
		}
		plan[member] = Tasks{Active: active}
	}
	return plan, awaited
}
