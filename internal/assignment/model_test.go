package assignment

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-streams/millrace/internal/taskid"
)

// The naive model tries all assignments one by one. It compares the cost of those that
// meet the bounds.

// bound is one number that the balance limits: how many tasks of a set a member has.
type bound struct {
	name string
	in   func(taskid.ID) bool
}

func bounds(t Topology) []bound {
	stateful := map[int32]bool{}
	all := []bound{{"all", func(taskid.ID) bool { return true }}, {"stateful", func(id taskid.ID) bool { return stateful[id.SubTopology] }}}
	for _, s := range t.SubTopologies {
		stateful[s.ID] = s.Stateful
		all = append(all, bound{fmt.Sprintf("sub-topology %d", s.ID), func(id taskid.ID) bool { return id.SubTopology == s.ID }})
	}
	return all
}

func count(tasks []taskid.ID, in func(taskid.ID) bool) int {
	n := 0
	for _, t := range tasks {
		if in(t) {
			n++
		}
	}
	return n
}

// unbalanced returns the name of the first bound that a plan breaks, or "".
func unbalanced(t Topology, runners []Member, plan map[string][]taskid.ID) string {
	var capacity float64
	for _, m := range runners {
		capacity += float64(max(m.Capacity, 1))
	}
	for _, b := range bounds(t) {
		n := float64(count(t.Tasks(), b.in))
		for _, m := range runners {
			exact := n * float64(max(m.Capacity, 1)) / capacity
			if got := float64(count(plan[m.ID], b.in)); got < math.Floor(exact+1e-9) || got > math.Ceil(exact-1e-9) {
				return fmt.Sprintf("%s: member %s has %v of %v tasks, its share is %v", b.name, m.ID, got, n, exact)
			}
		}
	}
	return ""
}

// price is the cost of a plan: first the tasks taken from their owners, then the state to
// restore.
type price struct{ moved, restored int64 }

func (p price) less(o price) bool {
	return p.moved < o.moved || p.moved == o.moved && p.restored < o.restored
}

func priceOf(t Topology, runners []Member, plan map[string][]taskid.ID) price {
	stateful := map[int32]bool{}
	for _, s := range t.SubTopologies {
		stateful[s.ID] = s.Stateful
	}
	owner := map[taskid.ID]string{}
	for _, m := range runners {
		for _, task := range m.Owned {
			owner[task] = m.ID
		}
	}
	var p price
	for _, m := range runners {
		for _, task := range plan[m.ID] {
			if owner[task] == m.ID {
				continue
			}
			if owner[task] != "" {
				p.moved++
			}
			if lag, found := m.Lags[task]; stateful[task.SubTopology] && found {
				p.restored += min(lag, lagLimit)
			} else if stateful[task.SubTopology] {
				p.restored += noState
			}
		}
	}
	return p
}

// cheapest tries all balanced assignments.
func cheapest(t Topology, runners []Member) (best price) {
	tasks := t.Tasks()
	best.moved = math.MaxInt64
	plan := map[string][]taskid.ID{}
	var place func(i int)
	place = func(i int) {
		if i == len(tasks) {
			if p := priceOf(t, runners, plan); p.less(best) && unbalanced(t, runners, plan) == "" {
				best = p
			}
			return
		}
		for _, m := range runners {
			plan[m.ID] = append(plan[m.ID], tasks[i])
			place(i + 1)
			plan[m.ID] = plan[m.ID][:len(plan[m.ID])-1]
		}
	}
	place(0)
	return best
}

// randomTopology makes a topology with a random number of sub-topologies and partitions.

func randomTopology(r *rand.Rand, subs, maxPartitions int) Topology {
	t := Topology{Fingerprint: "f"}
	for i := range 1 + r.IntN(subs) {
		s := SubTopology{ID: int32(i), Stateful: r.IntN(3) > 0}
		for j := range 1 + r.IntN(3) {
			s.Sources = append(s.Sources, Source{Topic: fmt.Sprintf("t%d-%d", i, j), Partitions: int32(1 + r.IntN(maxPartitions))})
		}
		t.SubTopologies = append(t.SubTopologies, s)
	}
	return t
}

// randomMembers makes members that own a random part of the tasks and have random state.
func randomMembers(r *rand.Rand, t Topology, n int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{
			ID: fmt.Sprintf("m%d", i), ProcessID: fmt.Sprint(r.IntN(100)), Fingerprint: t.Fingerprint, Capacity: r.IntN(5),
			Lags: map[taskid.ID]int64{},
		}
	}
	unowned := r.IntN(3)
	for _, task := range t.Tasks() {
		if r.IntN(3) >= unowned {
			m := &members[r.IntN(n)]
			m.Owned = append(m.Owned, task)
		}
		for i := range members {
			if r.IntN(3) == 0 {
				members[i].Lags[task] = []int64{0, 0, 1, 1000, 1 << 20, math.MaxInt64}[r.IntN(6)]
			}
		}
	}
	return members
}

func active(plan Plan) map[string][]taskid.ID {
	out := map[string][]taskid.ID{}
	for id, tasks := range plan {
		out[id] = tasks.Active
	}
	return out
}

func checkComplete(t *testing.T, topo Topology, plan Plan) {
	t.Helper()
	var got []taskid.ID
	for id, tasks := range plan {
		if !slices.IsSortedFunc(tasks.Active, taskid.ID.Compare) {
			t.Fatalf("tasks of %s are not in order: %v", id, tasks.Active)
		}
		got = append(got, tasks.Active...)
	}
	slices.SortFunc(got, taskid.ID.Compare)
	if !slices.Equal(got, topo.Tasks()) {
		t.Fatalf("assigned %v, want each once of %v", got, topo.Tasks())
	}
}
