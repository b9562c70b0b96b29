package assignment

import (
	"math"
	"slices"

	"github.com/millrace-streams/millrace/internal/taskid"
)

// network is the flow problem behind a plan. Its nodes are numbered in this order:
//
//	members x sub-topologies   cells: a member's tasks of one sub-topology
//	members                    stateful: a member's stateful tasks
//	members                    all: a member's tasks
//	1                          sink
//	sub-topologies             pools: tasks that no member has yet
//
// Flow rises from the cells to the sink along arcs with bounds. A task is one unit of
// flow into the cell where it is. Moving a task is a lateral arc from its cell or pool to
// another member's cell of the same sub-topology. Of all tasks that could move along a
// lateral arc, the arc has the cost of the cheapest.
type network struct {
	members, subs int
	subOf         []int     // task -> sub-topology
	cost          [][]int64 // task -> member -> cost of being there
	at            []int     // task -> member, -1 in the pool

	rising  []arc       // by node; of cells, stateful and all
	falling [][]int     // by node: the nodes whose rising arcs end there
	tasks   [][]int     // by node, of cells and pools: the tasks there, in order
	lateral [][]lateral // by node, of cells and pools: by member
	// by node: flow in minus flow out; includes the demand of the sink
	excess []int
}

type arc struct {
	to              int
	low, high, flow int
}

// lateral is the cheapest task that could move to a member, and its cost. The task is -1
// if there is none.
type lateral struct {
	task int
	cost int64
}

func newNetwork(t Topology, tasks []taskid.ID, runners []Member) *network {
	n := &network{members: len(runners), subs: len(t.SubTopologies)}
	subs := make(map[int32]int, n.subs)
	for i, s := range t.SubTopologies {
		subs[s.ID] = i
	}
	n.at = owners(tasks, runners)
	for i, task := range tasks {
		sub := subs[task.SubTopology]
		costs := make([]int64, n.members)
		for m, member := range runners {
			costs[m] = restoreCost(member, task, t.SubTopologies[sub].Stateful)
			if owner := n.at[i]; owner == m {
				// it runs there: whatever its lag, another member is not cheaper
				costs[m] = 0
			} else if owner >= 0 {
				costs[m] += moveOwned
			}
		}
		n.subOf = append(n.subOf, sub)
		n.cost = append(n.cost, costs)
	}
	n.connect(t, runners)
	n.fill()
	return n
}

func (n *network) cell(member, sub int) int { return member*n.subs + sub }
func (n *network) stateful(member int) int  { return n.members*n.subs + member }
func (n *network) all(member int) int       { return n.members*(n.subs+1) + member }
func (n *network) sink() int                { return n.members * (n.subs + 2) }
func (n *network) pool(sub int) int         { return n.sink() + 1 + sub }
func (n *network) nodes() int               { return n.sink() + 1 + n.subs }

// connect makes the rising arcs with their bounds.
func (n *network) connect(t Topology, runners []Member) {
	var total int64
	for _, m := range runners {
		total += m.capacity()
	}
	n.rising = make([]arc, n.sink())
	n.falling = make([][]int, n.nodes())
	rise := func(from, to, tasks int, m Member) {
		low, high := share(tasks, m.capacity(), total)
		n.rising[from] = arc{to: to, low: low, high: high}
		n.falling[to] = append(n.falling[to], from)
	}
	for i, m := range runners {
		var stateful, all int
		for j, s := range t.SubTopologies {
			count, up := int(s.Tasks()), n.all(i)
			if s.Stateful {
				stateful += count
				up = n.stateful(i)
			}
			all += count
			rise(n.cell(i, j), up, count, m)
		}
		rise(n.stateful(i), n.all(i), stateful, m)
		rise(n.all(i), n.sink(), all, m)
	}
}

// fill puts the tasks where they are. It lets as many of them rise as the bounds allow:
// at least low, at most high. The flow that a node then has too much or too little is its
// excess. At this point no residual arc has a negative cost. The search for cheapest
// paths relies on that at its start.
func (n *network) fill() {
	n.tasks = make([][]int, n.nodes())
	n.lateral = make([][]lateral, n.nodes())
	n.excess = make([]int, n.nodes())
	for task := range n.at {
		node := n.nodeOf(task)
		n.tasks[node] = append(n.tasks[node], task)
		n.excess[node]++
	}
	// in order of nodes, so the flow into a node is complete before it rises further
	for from := range n.rising {
		a := &n.rising[from]
		a.flow = min(max(n.excess[from], a.low), a.high)
		n.excess[from] -= a.flow
		n.excess[a.to] += a.flow
	}
	n.excess[n.sink()] -= len(n.at)
	for node := range n.tasks {
		n.refresh(node)
	}
}

func (n *network) nodeOf(task int) int {
	if n.at[task] < 0 {
		return n.pool(n.subOf[task])
	}
	return n.cell(n.at[task], n.subOf[task])
}

// refresh recomputes the lateral arcs of a cell or pool. Of equally cheap tasks, the
// first one moves.
func (n *network) refresh(node int) {
	arcs := n.lateral[node]
	if arcs == nil {
		arcs = make([]lateral, n.members)
		n.lateral[node] = arcs
	}
	for m := range arcs {
		arcs[m] = lateral{task: -1, cost: math.MaxInt64}
	}
	for _, task := range n.tasks[node] {
		var here int64
		if n.at[task] >= 0 {
			here = n.cost[task][n.at[task]]
		}
		for m, there := range n.cost[task] {
			if m != n.at[task] && there-here < arcs[m].cost {
				arcs[m] = lateral{task: task, cost: there - here}
			}
		}
	}
}

// move moves a task to a member.
func (n *network) move(task, member int) {
	from := n.nodeOf(task)
	i, _ := slices.BinarySearch(n.tasks[from], task)
	n.tasks[from] = slices.Delete(n.tasks[from], i, i+1)
	n.at[task] = member
	to := n.nodeOf(task)
	i, _ = slices.BinarySearch(n.tasks[to], task)
	n.tasks[to] = slices.Insert(n.tasks[to], i, task)
	n.refresh(from)
	n.refresh(to)
}
