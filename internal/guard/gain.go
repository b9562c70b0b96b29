package guard

import (
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registry"
)

// A store that the application has may gain an input: another topic is merged into the
// stream that it aggregates, or a processor of another topic is given the store. If the
// application has already processed records of that topic, in another place, the store
// lacks them like a store that is new.

// gains returns the topics that feed a store now and have not fed it before, sorted. It
// returns none if that is unknown, or if it does not matter: for a new store, and for one
// whose content does not last.
func (g *Guard) gains(view registry.View, s *graph.Store) []string {
	was, found := view.Store(s.Name)
	if !found || !lasts(s) || was.Newer || len(was.Fed) == 0 || !g.had(view, s.Name) {
		return nil
	}
	return slices.DeleteFunc(g.cfg.Graph.Feeding(s), func(topic string) bool {
		return slices.Contains(was.Fed, topic) || g.matches(topic, was.Patterns)
	})
}

// lacking returns the gained inputs whose processed records belong into the store.
func (g *Guard) lacking(view registry.View, s *graph.Store) []string {
	return g.processedOf(g.gains(view, s))
}

// matches reports whether a topic is read by one of the patterns. Such a topic has fed
// the store since it was found: another process may have found it first.
func (g *Guard) matches(topic string, patterns []string) bool {
	return slices.ContainsFunc(g.cfg.Graph.Nodes, func(n *graph.Node) bool {
		return n.Pattern != nil && slices.Contains(patterns, n.Pattern.Text) && slices.Contains(n.Topics, graph.Topic{Name: topic})
	})
}

// keepFed keeps the recorded inputs of stores that the topology does not read any more.
// No records of them are processed until they come back.
func (g *Guard) keepFed(now []registry.Record, view registry.View) {
	for i := range now {
		r := &now[i]
		was, found := view.Store(r.Store)
		if !found || !g.had(view, r.Store) {
			continue
		}
		for _, topic := range was.Fed {
			if !g.reads(topic) && !slices.Contains(r.Fed, topic) {
				r.Fed = append(r.Fed, topic)
			}
		}
		slices.Sort(r.Fed)
	}
}

// reads reports whether the topology reads a topic of another application.
func (g *Guard) reads(topic string) bool {
	return slices.ContainsFunc(g.cfg.Graph.Nodes, func(n *graph.Node) bool { return slices.Contains(n.Topics, graph.Topic{Name: topic}) })
}
