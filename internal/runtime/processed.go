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
	partitions := g.partitions(topics)
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

func (g processedInputs) Committed(ctx context.Context, topics []string) (with []string, err error) {
	partitions := g.partitions(topics)
	if len(partitions) == 0 {
		return nil, nil
	}
	committed, err := inputs.Committed(ctx, g.client, g.plan.application, partitions)
	if err != nil {
		return nil, err
	}
	for _, topic := range topics {
		for _, p := range partitions[topic] {
			if at, ok := committed.Lookup(topic, p); ok && at.At >= 0 {
				with = append(with, topic)
				break
			}
		}
	}
	return with, nil
}

// partitions returns the partitions of topics that the topology reads.
func (g processedInputs) partitions(topics []string) map[string][]int32 {
	partitions := map[string][]int32{}
	for _, topic := range topics {
		for _, p := range partitionsOf(topic, g.plan.counts[graph.Topic{Name: topic}]) {
			partitions[topic] = append(partitions[topic], p.Partition)
		}
	}
	return partitions
}
