package assignment

import (
	"slices"
)

// Assign plans who runs which task; the package documentation says what the plan promises. Members with another fingerprint than the topology's
// have an empty entry; if there are no others, no task is assigned. Assign keeps neither argument.
//
// It solves a minimum cost flow: a task flows to a member's cell for its sub-topology, on to all that the member has of stateful tasks,
// to all that it has, and out. The bounds of the balance lie on these arcs; the cost of taking a task from its owner and of restoring
// its state lies on the first. Since the fractional flow in which every member has its exact share of everything meets all bounds, a whole
// one does too.
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

// Costs, in units of one changelog record to restore. They are whole numbers that add up without overflow for tens of thousands of
// tasks, and any number of restored records that fits is cheaper than one task moved away from its owner.
const (
	lagLimit  = 1 << 30      // a larger lag is as bad as this one
	noState   = lagLimit + 1 // nothing on the disk: worse than any lag
	moveOwned = 1 << 46
)

// restoreCost is what the member would have to restore before it could run the task.
func restoreCost(m Member, task TaskID, stateful bool) int64 {
	if !stateful {
		return 0
	}
	lag, found := m.Lags[task]
	if !found {
		return noState
	}
	return min(max(lag, 0), lagLimit)
}

// owners says for each task which of the runners owns it, -1 if none.
func owners(tasks []TaskID, runners []Member) []int {
	index := make(map[TaskID]int, len(tasks))
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

// share is a member's part of n tasks, rounded down and up.
func share(n int, capacity, total int64) (low, high int) {
	exact := int64(n) * capacity
	return int(exact / total), int((exact + total - 1) / total)
}
