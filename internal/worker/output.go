package worker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// outputs holds the records of the open transaction. The client keeps pointers to them
// until the transaction has ended. Then their memory is used again.
type outputs struct {
	chunks []*chunk
	used   int // records in all chunks
}

const chunkSize = 256

type chunk struct {
	records [chunkSize]kgo.Record
	origins [chunkSize]origin
}

// origin is where an output came from. It is needed if the broker refuses the output.
type origin struct {
	task      *Task
	node      *graph.Node
	from      processor.Metadata
	input     *graph.Input // if the record is held back
	partition int32        // as the task asked for
	tries     int32        // how often the task has asked to send it again
}

// add returns a copy of out, as a record whose address stays valid until reset.
func (o *outputs) add(t *Task, out *graph.Output, from processor.Metadata, input *graph.Input) *kgo.Record {
	if o.used == len(o.chunks)*chunkSize {
		o.chunks = append(o.chunks, new(chunk))
	}
	c, i := o.chunks[o.used/chunkSize], o.used%chunkSize
	o.used++
	c.origins[i] = origin{task: t, node: out.Node, from: from, input: input, partition: out.Partition}
	r := &c.records[i]
	*r = RecordOf(out)
	return r
}

// RecordOf returns a record of a task as a client sends it. It shares the memory of out.
func RecordOf(out *graph.Output) kgo.Record {
	return kgo.Record{
		Topic: out.Topic, Partition: out.Partition, Key: out.Key, Value: out.Value,
		Timestamp: time.UnixMilli(int64(out.Timestamp)), Headers: kafkaHeaders(out.Headers),
	}
}

// origin returns where a record came from. It is called for few records only.
func (o *outputs) origin(r *kgo.Record) *origin {
	for n := range o.used {
		if c, i := o.chunks[n/chunkSize], n%chunkSize; &c.records[i] == r {
			return &c.origins[i]
		}
	}
	return nil
}

// output is a record as the task sent it.
func (o *origin) output(r *kgo.Record) graph.Output {
	return graph.Output{
		Topic: r.Topic, Partition: o.partition, Key: r.Key, Value: r.Value,
		Timestamp: processor.Timestamp(r.Timestamp.UnixMilli()), Headers: headersOf(r.Headers), Node: o.node,
	}
}

// keptChunks bounds the memory that is kept between transactions.
const keptChunks = 64

// reset forgets the records. No pointer to a record may be in use.
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
