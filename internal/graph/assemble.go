package graph

import (
	"cmp"
	"slices"
)

// Assemble makes a graph from nodes whose Parents and Stores are set. Parents must come
// before children. It derives the IDs, Children, the nodes of stores, the sub-topologies,
// and the From and To of the repartition topics. Two nodes are in the same sub-topology
// if one is the other's parent, or if they use the same store.
func Assemble(nodes []*Node, stores []*Store, repartitions []*RepartitionTopic) *Graph {
	g := &Graph{Nodes: nodes, Stores: stores, Repartitions: repartitions}
	g.link()
	g.divide()
	for _, s := range g.SubTopologies {
		s.Name = g.nameOf(s)
		s.CoPartitioned = coPartitioned(s)
	}
	g.route()
	return g
}

// link numbers the nodes and sets the reverse of Parents and of Stores.
func (g *Graph) link() {
	users := make(map[string][]*Node)
	for i, n := range g.Nodes {
		n.ID = i
		for _, p := range n.Parents {
			p.Children = append(p.Children, n)
		}
		for _, name := range n.Stores {
			users[name] = append(users[name], n)
		}
	}
	for _, s := range g.Stores {
		s.Nodes = users[s.Name]
	}
}

// divide finds the sub-topologies.
func (g *Graph) divide() {
	set := newDisjoint(len(g.Nodes))
	for _, n := range g.Nodes {
		for _, p := range n.Parents {
			set.union(p.ID, n.ID)
		}
	}
	for _, s := range g.Stores {
		for _, n := range s.Nodes {
			set.union(s.Nodes[0].ID, n.ID)
		}
	}
	byRoot := make(map[int]*SubTopology)
	for _, n := range g.Nodes {
		root := set.find(n.ID)
		s := byRoot[root]
		if s == nil {
			s = &SubTopology{ID: len(g.SubTopologies)}
			byRoot[root] = s
			g.SubTopologies = append(g.SubTopologies, s)
		}
		n.SubTopology = s.ID
		s.Nodes = append(s.Nodes, n)
		s.Sources = append(s.Sources, n.Topics...)
		if n.Pattern != nil {
			s.Patterns = append(s.Patterns, n.Pattern)
		}
	}
	for _, s := range g.Stores {
		if len(s.Nodes) > 0 {
			sub := g.SubTopologies[s.Nodes[0].SubTopology]
			sub.Stores = append(sub.Stores, s)
		}
	}
}

// isMessage reports whether a topic carries messages between tasks.
func (g *Graph) isMessage(t Topic) bool {
	return slices.ContainsFunc(g.Repartitions, func(r *RepartitionTopic) bool { return r.Message && r.Topic == t })
}

// route finds the two ends of each repartition topic.
func (g *Graph) route() {
	for _, r := range g.Repartitions {
		for _, n := range g.Nodes {
			if n.Kind == Sink && n.SinkTopic == r.Topic {
				r.From = n.SubTopology
			}
			if n.Kind == Source && slices.Contains(n.Topics, r.Topic) {
				r.To = n.SubTopology
			}
		}
	}
}

// coPartitioned returns the groups of topics that meet in Keyed nodes, or in their
// stores.
func coPartitioned(s *SubTopology) [][]Topic {
	var groups [][]Topic
	add := func(topics []Topic) {
		if len(topics) > 1 {
			groups = join(groups, topics)
		}
	}
	for _, n := range s.Nodes {
		if n.Keyed {
			add(upstream(n, nil, make(map[*Node]bool)))
		}
	}
	for _, store := range s.Stores {
		var topics []Topic
		seen := make(map[*Node]bool)
		for _, n := range store.Nodes {
			if n.Keyed {
				topics = upstream(n, topics, seen)
			}
		}
		add(topics)
	}
	for _, group := range groups {
		slices.SortFunc(group, func(a, b Topic) int { return cmp.Compare(a.Name, b.Name) })
	}
	return groups
}

// upstream appends the topics from which records reach n.
func upstream(n *Node, topics []Topic, seen map[*Node]bool) []Topic {
	if seen[n] {
		return topics
	}
	seen[n] = true
	topics = append(topics, n.Topics...)
	for _, p := range n.Parents {
		topics = upstream(p, topics, seen)
	}
	return topics
}

// join adds a group, and merges all groups that share a topic with it.
func join(groups [][]Topic, add []Topic) [][]Topic {
	var out [][]Topic
	for _, group := range groups {
		if !slices.ContainsFunc(group, func(t Topic) bool { return slices.Contains(add, t) }) {
			out = append(out, group)
			continue
		}
		for _, t := range group {
			if !slices.Contains(add, t) {
				add = append(add, t)
			}
		}
	}
	return append(out, add)
}

// disjoint is a set of disjoint sets of the numbers below n.
type disjoint []int

func newDisjoint(n int) disjoint {
	d := make(disjoint, n)
	for i := range d {
		d[i] = i
	}
	return d
}

func (d disjoint) find(i int) int {
	for d[i] != i {
		d[i] = d[d[i]]
		i = d[i]
	}
	return i
}

func (d disjoint) union(i, j int) { d[d.find(i)] = d.find(j) }
