package runtime

import (
	"context"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/task"
)

// processedInputs implements guard.Inputs.
type processedInputs struct{ *stateGuard }

func (g processedInputs) Processed(ctx context.Context, topics []string) ([]string, error) {
	partitions := map[string][]int32{}
	for _, topic := range topics {
		for _, p := range partitionsOf(topic, g.plan.counts[graph.Topic{Name: topic}]) {
			partitions[topic] = append(partitions[topic], p.Partition)
		}
	}
	if len(partitions) == 0 {
		return nil, nil
	}
	standings, err := inputs.Standings(ctx, g.client, g.plan.application, partitions)
	if err != nil {
		return nil, err
	}
	if err := g.records.Read(ctx, g.restorer); err != nil {
		return nil, err
	}
	processed := &inputs.Processed{
		Records: g.records, ID: g.catalogue.id, Shows: task.ShowsProcessed,
		AtEnd: func(topic string) bool { return g.plan.source(graph.Topic{Name: topic}).StartAt == graph.Latest },
	}
	return processed.Topics(standings), nil
}
