package processor

import (
	"fmt"
	"time"
)

// Processor handles the records of one node in one task. A task calls its processors from
// one goroutine, so a processor needs no lock. After an aborted transaction the task
// makes a new processor: nothing that a processor keeps in its fields survives an abort,
// state that must survive belongs into a store.
type Processor[K, V, K2, V2 any] interface {
	// Init is called once, before the first record. It opens stores and schedules
	// punctuators. ctx is valid as long as the processor.
	Init(ctx Context[K2, V2]) error

	// Process handles one record. ctx is the one that Init got, and is valid only inside
	// the call. A returned error, or a panic, goes to the error policy.
	Process(ctx Context[K2, V2], r Record[K, V]) error
}

// Flusher is a Processor that wants to know when its task is about to commit. Flush may
// forward records and write to stores; what it does is part of the transaction. It is
// called at every commit that has something to commit, parents before children.
type Flusher[K2, V2 any] interface {
	Flush(ctx Context[K2, V2]) error
}

// Closer is a Processor that holds something to release. Close is called once, when the
// task is closed or after an abort. It must not forward records or use stores.
type Closer interface {
	Close() error
}

// TimeKind says which clock drives a punctuator.
type TimeKind int

const (
	// StreamTime is the largest timestamp that the task has taken for processing. It does
	// not move without input.
	StreamTime TimeKind = iota
	// WallClock is the machine's clock (the test driver's in tests).
	WallClock
)

// String returns "stream time" or "wall clock".
func (k TimeKind) String() string {
	if k == WallClock {
		return "wall clock"
	}
	return "stream time"
}

// Punctuator is called by a schedule. now is the current time of the schedule's clock,
// not the slot that was due: slots that were missed collapse into one call. What it
// forwards without a timestamp has now as its timestamp.
type Punctuator[K2, V2 any] func(ctx Context[K2, V2], now time.Time) error

// Schedule is a punctuator that was scheduled with [Context.Every].
type Schedule interface {
	// Cancel ends the schedule. It may be called by the punctuator itself, and by Close,
	// but not by another goroutine.
	Cancel()
}

// Metadata says which Kafka record is being processed. In a punctuator and in Flush there
// is none: Topic is empty, Partition and Offset are -1.
type Metadata struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Task identifies a task: partition Partition of Partitions of the topics that
// sub-topology SubTopology reads.
type Task struct {
	SubTopology int
	Partition   int32
	Partitions  int32
}

// String returns sub-topology and partition as logs and errors do, as in 1_7.
func (t Task) String() string { return fmt.Sprintf("%d_%d", t.SubTopology, t.Partition) }
