package assignment

import "math"

// solve brings every node's excess to zero at the least cost. It returns the member of
// each task. It sends units along cheapest paths, from nodes with too much to nodes with
// too little. The flow so far then remains the cheapest one for the excess that is left
// (successive shortest paths).
func (n *network) solve() []int {
	for {
		dist := n.distances()
		end := n.cheapestDeficit(dist)
		if end < 0 {
			return n.at
		}
		// Many units may be sent at the same distances: search again only when no path of
		// that cost is left.
		search := &search{network: n, dist: dist}
		for search.augment() {
		}
	}
}

const far = math.MaxInt64

// cheapestDeficit returns the nearest reachable node that has too little, or -1.
func (n *network) cheapestDeficit(dist []int64) int {
	best := -1
	for node, e := range n.excess {
		if e < 0 && dist[node] < far && (best < 0 || dist[node] < dist[best]) {
			best = node
		}
	}
	return best
}

// step is a residual arc: one unit may go to a node at a cost. task is the task that a
// lateral step moves, or -1.
type step struct {
	to   int
	cost int64
	task int
}

// steps calls yield for each residual arc out of node, until yield returns true.
func (n *network) steps(node int, yield func(step) bool) {
	if node < len(n.rising) {
		if a := n.rising[node]; a.flow < a.high && yield(step{to: a.to, task: -1}) {
			return
		}
	}
	for _, from := range n.falling[node] {
		if a := n.rising[from]; a.flow > a.low && yield(step{to: from, task: -1}) {
			return
		}
	}
	if n.tasks[node] == nil {
		return
	}
	for m, l := range n.lateral[node] {
		if l.task >= 0 && yield(step{to: n.cell(m, n.subOf[l.task]), cost: l.cost, task: l.task}) {
			return
		}
	}
}

// distances returns for each node the cost of the cheapest path from any node with too
// much. A step may have a negative cost (a task returns to its owner), but a cycle never
// does. A node is therefore visited again whenever a cheaper path to it is found.
func (n *network) distances() []int64 {
	dist := make([]int64, n.nodes())
	queued := make([]bool, n.nodes())
	var queue []int
	for node, e := range n.excess {
		dist[node] = far
		if e > 0 {
			dist[node], queued[node] = 0, true
			queue = append(queue, node)
		}
	}
	for len(queue) > 0 {
		node := queue[0]
		queue, queued[node] = queue[1:], false
		n.steps(node, func(s step) bool {
			if d := dist[node] + s.cost; d < dist[s.to] {
				dist[s.to] = d
				if !queued[s.to] {
					queued[s.to] = true
					queue = append(queue, s.to)
				}
			}
			return false
		})
	}
	return dist
}

// search sends units along paths on which every step is part of a cheapest path.
type search struct {
	*network
	dist []int64
	seen []bool
}

// augment sends one unit, and reports whether it could.
func (s *search) augment() bool {
	s.seen = make([]bool, s.nodes())
	for node, e := range s.excess {
		if e > 0 && !s.seen[node] && s.walk(node) {
			s.excess[node]--
			return true
		}
	}
	return false
}

// walk finds a path from node to a node with too little, and sends one unit along it.
func (s *search) walk(node int) (found bool) {
	s.seen[node] = true
	if s.excess[node] < 0 {
		s.excess[node]++
		return true
	}
	s.steps(node, func(st step) bool {
		if s.seen[st.to] || s.dist[node]+st.cost != s.dist[st.to] {
			return false
		}
		found = s.walk(st.to)
		if found {
			s.send(node, st)
		}
		return found
	})
	return found
}

// send sends one unit from node along a step.
func (s *search) send(node int, st step) {
	switch {
	case st.task >= 0:
		s.move(st.task, st.to/s.subs)
	case node < len(s.rising) && s.rising[node].to == st.to:
		s.rising[node].flow++
	default:
		s.rising[st.to].flow--
	}
}
