package guard

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registry"
)

// askCommitted asks the group for the topics with a committed offset, among those of
// sources whose first topics are not recorded. It reports whether it has asked.
func (g *Guard) askCommitted(ctx context.Context, view registry.View) (asked bool, err error) {
	var topics []string
	for _, n := range g.cfg.Graph.PatternsAtEnd() {
		if _, found := view.FirstTopics(n.Pattern.Name); !found {
			topics = append(topics, namesOf(n)...)
		}
	}
	if len(topics) == 0 {
		return false, nil
	}
	if g.committed, err = g.cfg.Inputs.Committed(ctx, topics); err != nil {
		return true, fmt.Errorf("check which topics of a pattern were read before: %w", err)
	}
	return true, nil
}

// firstTopics returns the records of first topics that the registry lacks.
func (g *Guard) firstTopics(view registry.View) (missing []registry.FirstTopics, err error) {
	for _, n := range g.cfg.Graph.PatternsAtEnd() {
		was, found := view.FirstTopics(n.Pattern.Name)
		now := registry.FirstTopics{Source: n.Pattern.Name, Pattern: n.Pattern.Text}
		if !found {
			now.Topics = g.described(g.present(n))
		} else if now.Topics, err = g.continued(n, was); err != nil {
			return nil, err
		}
		if !found || was.Pattern != now.Pattern {
			missing = append(missing, now)
		}
	}
	return missing, nil
}

// NothingMatches records, for sources without first topics, that no topic matches. The
// process need not have a task for that: what it records does not depend on the topology
// of other processes.
func (g *Guard) NothingMatches(ctx context.Context) error {
	if len(g.cfg.Graph.PatternsAtEnd()) == 0 {
		return nil
	}
	_, err := g.cfg.Registry.Update(ctx, func(view registry.View) (c registry.Changes, err error) {
		c.FirstTopics, err = g.firstTopics(view)
		return c, err
	})
	return err
}

// present returns the topics of a source whose first topics are not recorded. If the
// group has offsets, an earlier version of the library has committed them, or the
// registry was deleted: the first topics are then those with an offset.
func (g *Guard) present(n *graph.Node) []string {
	begun := func(topic string) bool { return slices.Contains(g.committed, topic) }
	if topics := namesOf(n); slices.ContainsFunc(topics, begun) {
		return slices.DeleteFunc(topics, func(topic string) bool { return !begun(topic) })
	}
	return g.atStart(n)
}

// atStart returns the topics of a source that matched when the process was started.
func (g *Guard) atStart(n *graph.Node) []string {
	return slices.DeleteFunc(namesOf(n), func(topic string) bool { return !slices.Contains(g.cfg.Matched, topic) })
}

// continued returns the first topics of a source that has a record. If the pattern has
// changed, they are those of the record, and those that only the new pattern matches: the
// application begins to read these now.
func (g *Guard) continued(n *graph.Node, was registry.FirstTopics) ([]registry.Input, error) {
	if was.Newer {
		return nil, fmt.Errorf("source %s was recorded by a newer version of the library, and this version cannot read the record: run the newer version", n.Name)
	}
	before, err := graph.NewPattern(n.Pattern.Name, was.Pattern)
	if err != nil {
		return nil, fmt.Errorf("source %s had the pattern %q: %w", n.Name, was.Pattern, err)
	}
	gained := slices.DeleteFunc(g.atStart(n), func(topic string) bool {
		return before.Matches(topic) || slices.ContainsFunc(was.Topics, func(in registry.Input) bool { return in.Topic == topic })
	})
	first := slices.Concat(was.Topics, g.described(gained))
	slices.SortFunc(first, func(a, b registry.Input) int { return cmp.Compare(a.Topic, b.Topic) })
	return first, nil
}

func (g *Guard) described(topics []string) (inputs []registry.Input) {
	for _, topic := range topics {
		id, partitions := g.cfg.Topics(topic)
		inputs = append(inputs, registry.Input{Topic: topic, ID: id, Partitions: partitions})
	}
	return inputs
}

func namesOf(n *graph.Node) []string {
	names := make([]string, len(n.Topics))
	for i, t := range n.Topics {
		names[i] = t.Name
	}
	return names
}
