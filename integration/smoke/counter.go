package main

import (
	"fmt"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// counter prints how many records of a topic a task has processed since it was opened.
type counter[V any] struct {
	topic string
	n     int
}

// count has each task print its progress in a topic.
func count[V any](s topology.Stream[string, V], topic string) {
	topology.Process(s, "count-"+topic, func() *counter[V] { return &counter[V]{topic: topic} }, serde.String, serde.String)
}

func (c *counter[V]) Init(processor.Context[string, string]) error { return nil }

func (c *counter[V]) Process(ctx processor.Context[string, string], _ processor.Record[string, V]) error {
	if c.n++; c.n%1000 == 0 {
		fmt.Printf("processed %d records of %s in task %v\n", c.n, c.topic, ctx.Task())
	}
	return nil
}
