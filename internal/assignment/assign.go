package assignment

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/taskid"
)

// Assign plans which member runs which task. The package documentation says what a plan
// promises. A member whose fingerprint differs from the topology's has an empty entry. If
// all members differ, no task is assigned. Assign keeps neither argument.
//
// Assign solves a minimum cost flow problem. A task flows to a member's cell for its
// sub-topology, from there to the node of all the member's stateful tasks, then to the
// node of all its tasks, and out. The bounds of the balance are on these three arcs. The
// cost of taking a task from its owner, and of restoring its state, is on the first arc.
// In the fractional flow, every member has its exact share of everything. This flow meets
// all bounds, so a flow in whole numbers does too.
func Assign(t Topology, members []Member) Plan {
	plan := make(Plan, len(members))
	for _, m := range members {
		plan[m.ID] = Tasks{}
	}
	runners := eligible(t, members)
	if len(runners) == 0 {
		return plan
	}
	tasks := t.Tasks()
	at := newNetwork(t, tasks, runners).solve()
	for i, task := range tasks { // in order, so every list is in order
		id := runners[at[i]].ID
		got := plan[id]
		got.Active = append(got.Active, task)
		plan[id] = got
	}
	return plan
}

// Costs are in units of one changelog record to restore. They are whole numbers whose sum
// does not overflow for tens of thousands of tasks. Any number of restored records that
// fits is cheaper than moving one task away from its owner.
const (
	lagLimit  = 1 << 30      // a larger lag costs as much as this one
	noState   = lagLimit + 1 // nothing on the disk: worse than any lag
	moveOwned = 1 << 46
)

// restoreCost returns the number of records that the member would have to restore before
// it could run the task.
func restoreCost(m Member, task taskid.ID, stateful bool) int64 {
	if !stateful {
		return 0
	}
	lag, found := m.Lags[task]
	if !found {
		return noState
	}
	return min(max(lag, 0), lagLimit)
}

// owners returns for each task the index of the runner that owns it, or -1.
func owners(tasks []taskid.ID, runners []Member) []int {
	index := make(map[taskid.ID]int, len(tasks))
	for i, task := range tasks {
		index[task] = i
	}
	owner := slices.Repeat([]int{-1}, len(tasks))
	for m, member := range runners {
		for _, task := range member.Owned {
			if i, found := index[task]; found && owner[i] < 0 {
				owner[i] = m
			}
		}
	}
	return owner
}

// share returns a member's share of n tasks, rounded down and rounded up.
func share(n int, capacity, total int64) (low, high int) {
	exact := int64(n) * capacity
	return int(exact / total), int((exact + total - 1) / total)
}
