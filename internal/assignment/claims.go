package assignment

import (
	"maps"
	"slices"
)

// claims says who holds which partition, by what the members said when they joined.
type claims map[TopicPartition][]claim

// claim is a member's word that it holds a partition, as of a generation of the group. Of two claims the newer one is right; the older one's
// member missed a rebalance, and may not know yet that it has lost the partition.
type claim struct {
	member     string
	generation int32
}

func (c claims) add(member string, generation int32, parts ...TopicPartition) {
	for _, p := range parts {
		c[p] = append(c[p], claim{member: member, generation: generation})
	}
}

// owned says for each member which tasks it runs: those of which it holds a partition to which nobody has a newer claim.
func (c claims) owned(t Topology) map[string][]TaskID {
	tasks := map[string][]TaskID{}
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

// current are the newest claims to a partition: one, unless something went wrong.
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

// free says whether the member may have the partition now: nobody else holds it, except by a claim that is older than the
// member's own.
func (c claims) free(member string, part TopicPartition) bool {
	newest := c.current(part)
	return len(newest) == 0 || len(newest) == 1 && newest[0].member == member
}

// withhold takes out of the plan every task of which another member than the planned one still holds a partition. awaited are the members that hold
// such partitions: they have to give them up and to join again before the task can run.
func (c claims) withhold(t Topology, plan Plan) (_ Plan, awaited map[string]bool) {
	awaited = map[string]bool{}
	plan = maps.Clone(plan)
	for member, tasks := range plan {
		var active []TaskID
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
