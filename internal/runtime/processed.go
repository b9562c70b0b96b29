package runtime

import (
	"context"
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/topics"
)

// processedInputs implements guard.Inputs.
type processedInputs struct{ *stateGuard }

func (g processedInputs) Processed(ctx context.Context, names []string) ([]string, error) {
	partitions := g.partitions(names)
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

func (g processedInputs) Waits(ctx context.Context, topic string) (bool, error) {
	described, err := topics.Describe(ctx, g.client, []string{topic})
	if err != nil || described[topic].Missing {
		return false, err
	}
	parts := partitionsOf(topic, described[topic].Partitions)
	asked := map[string][]int32{}
	for _, p := range parts {
		asked[topic] = append(asked[topic], p.Partition)
	}
	committed, err := inputs.Committed(ctx, g.client, g.plan.application, asked)
	if err != nil {
		return false, err
	}
	for i := range parts {
		if at, ok := committed.Lookup(topic, parts[i].Partition); ok {
			parts[i].From = at.At
		}
	}
	held, err := g.restorer.Holds(ctx, parts)
	return slices.ContainsFunc(held, func(h restore.Holding) bool { return h.Records }), err
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
