package worker

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// outputs holds the records of the open transaction. The client keeps pointers to them until the transaction has ended; then they are used again.
type outputs struct {
	chunks []*chunk
	used   int // records in all chunks
}

const chunkSize = 256

type chunk struct {
	records [chunkSize]kgo.Record
	origins [chunkSize]origin
}

// origin is where an output came from, for the case that the broker refuses it.
type origin struct {
	task      *Task
	node      *graph.Node
	from      processor.Metadata
	partition int32 // as the task asked for
	held      bool
}

// add returns a copy of out as a record that stays where it is.
func (o *outputs) add(t *Task, out *graph.Output, from processor.Metadata) *kgo.Record {
	if o.used == len(o.chunks)*chunkSize {
		o.chunks = append(o.chunks, new(chunk))
	}
	c, i := o.chunks[o.used/chunkSize], o.used%chunkSize
	o.used++
	c.origins[i] = origin{t, out.Node, from, out.Partition, out.Held}
	r := &c.records[i]
	*r = kgo.Record{
		Topic: out.Topic, Partition: out.Partition, Key: out.Key, Value: out.Value,
		Timestamp: time.UnixMilli(int64(out.Timestamp)), Headers: kafkaHeaders(out.Headers),
	}
	return r
}

// origin returns where a record came from, and the output as the task sent it.
func (o *outputs) origin(r *kgo.Record) (origin, graph.Output, bool) {
	for n := range o.used {
		c, i := o.chunks[n/chunkSize], n%chunkSize
		if &c.records[i] != r {
			continue
		}
		from := c.origins[i]
		return from, graph.Output{
			Topic: r.Topic, Partition: from.partition, Key: r.Key, Value: r.Value,
			Timestamp: processor.TimestampOf(r.Timestamp), Headers: headersOf(r.Headers), Node: from.node, Held: from.held,
		}, true
	}
	return origin{}, graph.Output{}, false
}

// keptChunks bounds the memory that is kept from one transaction to the next.
const keptChunks = 64

// reset forgets the records. Nobody may hold one any more.
func (o *outputs) reset() {
	for n := 0; n < o.used; n += chunkSize {
		c := o.chunks[n/chunkSize]
		clear(c.records[:])
		clear(c.origins[:])
	}
	if len(o.chunks) > keptChunks {
		clear(o.chunks[keptChunks:])
		o.chunks = o.chunks[:keptChunks]
	}
	o.used = 0
}

func kafkaHeaders(headers processor.Headers) []kgo.RecordHeader {
	if len(headers) == 0 {
		return nil
	}
	out := make([]kgo.RecordHeader, len(headers))
	for i, h := range headers {
		out[i] = kgo.RecordHeader(h)
	}
	return out
}

// outbox is what one task sends through.
type outbox struct {
	w *Worker
	t *Task

	// topic is the one that was asked about last, and maxBytes its limit: most tasks write few topics, many records each.
	topic    string
	maxBytes int
}

// Send implements task.Outbox.
func (o *outbox) Send(out graph.Output, from processor.Metadata) error {
	o.w.producer.Produce(o.w.outputs.add(o.t, &out, from))
	return nil
}

// lookups is the share of the transaction timeout that one look at a topic may take.
const lookups = 4

// Partitions implements task.Outbox. The transaction, and the worker's context, bound how long Kafka is asked.
func (o *outbox) Partitions(topic string) (int32, error) {
	ctx, cancel := context.WithTimeout(o.w.ctx, o.w.cfg.TransactionTimeout/lookups)
	defer cancel()
	return o.w.cfg.Topics.Partitions(ctx, topic)
}

// MaxMessageBytes implements task.Outbox.
func (o *outbox) MaxMessageBytes(topic string) int {
	if topic != o.topic || o.maxBytes == 0 {
		o.topic, o.maxBytes = topic, o.w.cfg.Topics.MaxMessageBytes(topic)
	}
	return o.maxBytes
}
