package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/topics"
)

// keepPartitions gives existing repartition topics the numbers of partitions that they
// have, if these would otherwise follow the topics that match a pattern: a topic with
// more partitions must not change where keys are.
func (r *Run) keepPartitions() error {
	following := r.cfg.Graph.Following()
	if len(following) == 0 {
		return nil
	}
	return r.untilReachable("describing repartition topics", func(ctx context.Context) error {
		names := make([]string, len(following))
		for i, f := range following {
			names[i] = f.Topic.In(r.cfg.ApplicationID)
		}
		described, err := topics.Describe(ctx, r.client, names)
		if err != nil {
			return err
		}
		counts := map[graph.Topic]int32{}
		for i, f := range following {
			counts[f.Topic] = described[names[i]].Partitions
		}
		r.cfg.Graph = r.cfg.Graph.Keep(counts)
		r.layout.graph = r.cfg.Graph
		return nil
	})
}

// explainGrowth adds to the error of an internal topic that is too small the topics that
// match a pattern and have more partitions than it.
func (p *plan) explainGrowth(err error) error {
	var small *topics.MismatchError
	if !errors.As(err, &small) || small.Found >= small.Want {
		return err
	}
	var larger []string
	for _, n := range p.graph.Nodes {
		for _, t := range n.Topics {
			if n.Pattern != nil && p.counts[t] > small.Found {
				larger = append(larger, fmt.Sprintf("topic %s, which matches %v of source %s, has %d partitions", t.Name, n.Pattern, n.Name, p.counts[t]))
			}
		}
	}
	if len(larger) == 0 {
		return err
	}
	return fmt.Errorf("%s, but the state of the application was made for %d, and internal topics cannot grow: delete the topic and create it with at most %d partitions, "+
		"change the pattern so that it does not match, or start over: %w", strings.Join(larger, "; "), small.Found, small.Found, err)
}
