package worker

import (
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Feed is one input partition on its way from the fetcher to its task. A task that reads
// its input again gets a new Feed. Records that are still on their way to the old one are
// dropped.
type Feed struct {
	Topic     string
	Partition int32
	From      int64 // offset of the first record

	fetcher *Fetcher
	inbox   *inbox

	// fetched and held are the bytes in the inbox and in the task's queues.
	fetched, held atomic.Int64
	// waited: the task cannot choose a record before this partition has one.
	waited, paused, closed atomic.Bool
	quiet                  atomic.Bool  // see setQuiet
	end                    atomic.Int64 // last stable offset, -1 before the first fetch
	position               atomic.Int64 // behind what was fetched
}

// size is the number of bytes that are buffered.
func (feed *Feed) size() int64 { return feed.fetched.Load() + feed.held.Load() }

// Size is the number of bytes buffered and not processed.
func (feed *Feed) Size() int64 { return feed.size() }

// End is the last stable offset that was seen, -1 before.
func (feed *Feed) End() int64 { return feed.end.Load() }

// Closed reports whether the feed has no reader any more.
func (feed *Feed) Closed() bool { return feed.closed.Load() }

// Paused reports whether the fetcher has paused the partition.
func (feed *Feed) Paused() bool { return feed.paused.Load() }

// batch is the part of a fetch that belongs to one partition.
type batch struct {
	feed   *Feed
	inputs []graph.Input
	bytes  int64
	next   int64 // the position after the batch, including control records
	end    int64

	about    about
	position int64     // of the fetcher; rewound: before it; confirmed: when it asked
	at       time.Time // confirmed: when Kafka was asked for the end
}

// about says what a batch is about.
type about int

const (
	_ about = iota // its records
	// The rest have no records.
	rewound     // see Fetcher.Rewind
	confirmed   // see Fetcher.Confirm; end is the high watermark
	unconfirmed // Kafka did not say where the partition ends
)

// inbox holds the batches for the tasks of one worker.
type inbox struct {
	mu      sync.Mutex
	batches []batch
	spare   []batch
	wake    chan struct{}
}

func newInbox() *inbox { return &inbox{wake: make(chan struct{}, 1)} }

func (i *inbox) put(b batch) {
	i.mu.Lock()
	i.batches = append(i.batches, b)
	i.mu.Unlock()
	i.notify()
}

func (i *inbox) notify() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

// take returns the batches that have arrived. They are valid until the next take.
func (i *inbox) take() []batch {
	i.mu.Lock()
	defer i.mu.Unlock()
	taken := i.batches
	clear(i.spare)
	i.batches, i.spare = i.spare[:0], taken
	return taken
}

// The memory of a record, and of each of its headers, in addition to their bytes.
const (
	inputSize  = int64(unsafe.Sizeof(graph.Input{}))
	headerSize = int64(unsafe.Sizeof(processor.Header{}))
)

// batchOf converts a part of a fetch. The inputs alias the bytes of the fetch, which
// therefore stay in memory as long as one of them. The client gets its records back.
func batchOf(f *Feed, records []*kgo.Record, end int64) batch {
	b := batch{feed: f, end: end, next: -1, inputs: f.fetcher.inputs.take(len(records))}
	for _, r := range records {
		b.next = r.Offset + 1
		if !r.Attrs.IsControl() {
			b.inputs = append(b.inputs, InputOf(r))
			b.bytes += inputSize + int64(len(r.Key)+len(r.Value))
			for i := range r.Headers {
				b.bytes += headerSize + int64(len(r.Headers[i].Key)+len(r.Headers[i].Value))
			}
		}
		r.Recycle()
	}
	return b
}

// InputOf returns a record as a task gets it. It shares the memory of the record.
func InputOf(r *kgo.Record) graph.Input {
	return graph.Input{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: processor.Timestamp(r.Timestamp.UnixMilli()),
		Key: r.Key, Value: r.Value, Headers: headersOf(r.Headers),
	}
}

func headersOf(headers []kgo.RecordHeader) processor.Headers {
	if len(headers) == 0 {
		return nil
	}
	out := make(processor.Headers, len(headers))
	for i, h := range headers {
		out[i] = processor.Header(h)
	}
	return out
}
