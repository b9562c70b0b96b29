package batch

import (
	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/count"
	"github.com/millrace-streams/millrace/batch/internal/gather"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

type planKey struct{}

// planOf returns the plan of a builder.
func planOf(b *topology.Builder) *plan {
	if p, ok := b.Value(planKey{}).(*plan); ok {
		return p
	}
	p := &plan{b: b, chunk: closing.DefaultChunk}
	b.SetValue(planKey{}, p)
	b.OnBuild(p.build)
	return p
}

// build adds the nodes of all batches: for each Every, the nodes from the stamping to the
// counting processor; behind all of them, one gather processor.
func (p *plan) build() error {
	p.checkNames()
	p.built = true
	var toGather []topology.Stream[[]byte, wire.Message]
	var feeds []gather.Feed
	for _, e := range p.everys {
		if e.broken || len(e.aggregates) == 0 {
			continue
		}
		counted := e.build()
		if e.gathers() {
			all := func(wire.Record) (bool, error) { return true, nil }
			toGather = append(toGather, counted.FilterRecord(all, topology.Named(e.gatherChild())))
			feeds = append(feeds, gather.Feed{Every: e.name, Points: e.points, Outputs: e.outputs})
		}
	}
	if len(toGather) > 0 {
		p.buildGather(toGather, feeds)
	}
	return nil
}

// build adds the nodes from the stamping to the counting processor. It returns the stream
// that the counting processor forwards.
func (e *every) build() topology.Stream[[]byte, wire.Message] {
	options := append(e.partitions, topology.Partitioner(wire.Route))
	parts := topology.Repartition(e.stamp(), e.name, options...)
	c := &count.Config{Every: e.name, Aggregations: e.aggregates, Chunk: e.plan.chunk}
	if e.gathers() {
		c.Gather = e.gatherChild()
	}
	newCounter := func() *count.Counter { return count.New(c) }
	counted := topology.Process(parts, e.name+"-count", newCounter, serde.Bytes, wire.Messages, c.Specs()...)
	for _, s := range e.sinks {
		s.attach(counted)
	}
	return counted
}

// buildGather adds the nodes of the gather task.
func (p *plan) buildGather(from []topology.Stream[[]byte, wire.Message], feeds []gather.Feed) {
	all := from[0]
	if len(from) > 1 {
		all = all.Merge(from[1:]...)
	}
	parts := topology.Repartition(all, gather.Name, topology.Partitions(1))
	c := &gather.Config{Feeds: feeds, Chunk: p.chunk}
	newGatherer := func() *gather.Gatherer { return gather.New(c) }
	gathered := topology.Process(parts, gather.Name+"-results", newGatherer, serde.Bytes, wire.Messages, c.Specs()...)
	for _, s := range p.sinks {
		s.attach(gathered)
	}
}

// attach adds the nodes behind the processor that writes to a topic.
func (s sink) attach(from topology.Stream[[]byte, wire.Message]) {
	unwrap := func(r wire.Record) processor.Record[[]byte, []byte] {
		return processor.Record[[]byte, []byte]{
			Key: r.Key, Value: r.Value.Payload, NoKey: r.NoKey, NoValue: r.NoValue, Timestamp: r.Timestamp, Headers: r.Headers,
		}
	}
	name := s.h.fullName()
	rows := topology.Map(from, unwrap, serde.Bytes, serde.Bytes, topology.Named(name))
	rows.To(s.topic, topology.Partitioner(routeRows), topology.Named(name+"-sink"))
}

// routeRows sends end records to all partitions, and a row to the partition of its key.
func routeRows(r processor.Record[[]byte, []byte], n int32) []int32 {
	if _, end := r.Headers.Get(HeaderBatchEnd); !end {
		return nil
	}
	return wire.AllPartitions(n)
}
