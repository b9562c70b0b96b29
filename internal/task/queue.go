package task

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// queue holds the fetched records of one input partition that are not yet processed.
type queue struct {
	topic     string
	topicID   [16]byte
	mark      Mark
	partition int32
	node      *graph.Node
	source    graph.SourceNode
	awaited   bool // somebody waits for the effects of its records: see awaited

	slabs []slab // the first is being read; each has a record left
	at    int    // in the first slab

	// ready says that the head has its timestamp. The timestamp is extracted only when
	// the record becomes the head, because the extractor gets the partition time of all
	// earlier records.
	ready    bool
	headTime processor.Timestamp
	logTime  processor.Timestamp // of the head, as in Kafka

	records int
	bytes   int64 // of all slabs

	partitionTime processor.Timestamp // largest timestamp processed
	position      int64               // the next offset to process; -1 if unknown
	next          int64               // the next offset to add; -1 if unknown
	end           int64               // the end from SetEnd
	begun         int64               // the position at the last Begin
	// The metadata of the last Begin that moved the position.
	metadata string

	caughtUp time.Time // see Task.waitsFor; zero while the queue has records or lags

	// idle is the time for which the partition is known to be at its end, with nothing in
	// the queue. It is zero otherwise; see Task.Confirm.
	idle    graph.Idle
	watched bool // by an idler

	stops bool // see Task.StopBefore
	stop  int64
}

// slab is the part of a fetch that belongs to the partition. Its memory is released when
// its last record has been processed, because the records alias the fetch.
type slab struct {
	records []graph.Input
	bytes   int64
}

// add adds a slab. bytes is the memory of all records.
func (q *queue) add(records []graph.Input, bytes int64) error {
	for len(records) > 0 && records[0].Offset < q.next {
		records = records[1:]
	}
	if len(records) == 0 {
		return nil
	}
	for i := range records {
		in := &records[i]
		if in.Offset < q.next {
			return fmt.Errorf("records of %s/%d out of order: offset %d after %d", q.topic, q.partition, in.Offset, q.next-1)
		}
		q.next = in.Offset + 1
	}
	q.records += len(records)
	q.bytes += bytes
	q.caughtUp = time.Time{}
	q.idle = graph.Idle{}
	if q.position < 0 {
		q.position = records[0].Offset
	}
	q.slabs = append(q.slabs, slab{records, bytes})
	return nil
}

func (q *queue) empty() bool { return len(q.slabs) == 0 }

// head is the next record. The queue must not be empty.
func (q *queue) head() *graph.Input { return &q.slabs[0].records[q.at] }

// lags reports whether the queue is empty although its partition has more.
func (q *queue) lags() bool { return len(q.slabs) == 0 && q.end > q.next }

// pop removes the head: it has been processed or dropped. done gets the slab if the head
// was its last record; nil: somebody may have a pointer to one of its records.
func (q *queue) pop(done func([]graph.Input)) {
	q.position = q.head().Offset + 1
	q.records--
	q.ready = false
	if q.at++; q.at < len(q.slabs[0].records) {
		return
	}
	q.at = 0
	q.bytes -= q.slabs[0].bytes
	if done != nil {
		done(q.slabs[0].records)
	}
	q.slabs[0] = slab{}
	if q.slabs = q.slabs[1:]; len(q.slabs) == 0 {
		q.slabs = nil
		q.passed()
	}
}

// passed moves the position over offsets that hold no records.
func (q *queue) passed() {
	if q.empty() && q.next > q.position && q.next >= 0 {
		q.position = q.next
	}
}
