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
	chunks  []*chunk
	used    int // records in all chunks
	kept    int // chunks that the latest transactions needed
	origins map[*kgo.Record]*origin
}

const chunkSize = 256

type chunk [chunkSize]kgo.Record

// origin is where an output came from. It is needed if the broker may refuse the output.
type origin struct {
	task      *Task
	node      *graph.Node
	from      processor.Metadata
	input     *graph.Input
	partition int32 // as the task asked for
	tries     int32 // how often the task has asked to send it again
}

// add returns a copy of out, as a record whose address stays valid until reset.
func (o *outputs) add(out *graph.Output) *kgo.Record {
	if o.used == len(o.chunks)*chunkSize {
		o.chunks = append(o.chunks, new(chunk))
	}
	r := &o.chunks[o.used/chunkSize][o.used%chunkSize]
	o.used++
	*r = RecordOf(out)
	return r
}

// note notes where a record came from.
func (o *outputs) note(r *kgo.Record, from *origin) {
	if o.origins == nil {
		o.origins = map[*kgo.Record]*origin{}
	}
	o.origins[r] = from
}

// RecordOf returns a record of a task as a client sends it. It shares the memory of out.
func RecordOf(out *graph.Output) kgo.Record {
	return kgo.Record{
		Topic: out.Topic, Partition: out.Partition, Key: out.Key, Value: out.Value,
		Timestamp: time.UnixMilli(int64(out.Timestamp)), Headers: kafkaHeaders(out.Headers),
	}
}

// origin returns where a record came from, or nil if that was not noted.
func (o *outputs) origin(r *kgo.Record) *origin { return o.origins[r] }

// output is a record as the task sent it.
func (o *origin) output(r *kgo.Record) graph.Output {
	return graph.Output{
		Topic: r.Topic, Partition: o.partition, Key: r.Key, Value: r.Value,
		Timestamp: processor.Timestamp(r.Timestamp.UnixMilli()), Headers: headersOf(r.Headers), Node: o.node,
	}
}

// mostKept bounds the memory that is kept between transactions, in chunks: 12 MB.
const mostKept = 256

// reset forgets the records. No pointer to a record may be in use. It keeps the memory
// that the latest transactions needed.
func (o *outputs) reset() {
	needed := (o.used + chunkSize - 1) / chunkSize
	for _, c := range o.chunks[:needed] {
		clear(c[:])
	}
	const slowly = 8
	o.kept = min(max(needed, o.kept-(o.kept+slowly-1)/slowly), mostKept)
	if len(o.chunks) > o.kept {
		clear(o.chunks[o.kept:])
		o.chunks = o.chunks[:o.kept]
	}
	o.used, o.origins = 0, nil
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
