package graph

import "slices"

// Feeding returns the topics of other applications whose records reach a store, sorted by
// name. Behind a repartition topic, these are the topics that feed it. A topic from which
// records only reach nodes that look rows up in the store does not count.
func (g *Graph) Feeding(s *Store) []string {
	f := feeding{graph: g, seen: make(map[*Node]bool)}
	for _, n := range s.Nodes {
		if !slices.Contains(n.LooksUp, s.Name) {
			f.follow(n)
		}
	}
	slices.Sort(f.topics)
	return slices.Compact(f.topics)
}

// feeding follows the ways of records upwards, each node once.
type feeding struct {
	graph  *Graph
	seen   map[*Node]bool
	topics []string
}

func (f *feeding) follow(n *Node) {
	if f.seen[n] || n.Answers {
		return
	}
	f.seen[n] = true
	for _, p := range n.Parents {
		f.follow(p)
	}
	for _, t := range n.Topics {
		if !t.Internal {
			f.topics = append(f.topics, t.Name)
			continue
		}
		for _, sink := range f.graph.Nodes {
			if sink.Kind == Sink && sink.SinkTopic == t {
				f.follow(sink)
			}
		}
	}
}
