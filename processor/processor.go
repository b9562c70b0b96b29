package processor

import (
	"fmt"
	"time"
)

// Processor handles the records of one node in one task. A task calls its processors from
// one goroutine, so a processor needs no lock.
//
// After an aborted transaction the task makes a new processor. The fields of a processor
// are therefore lost with an abort. State that must survive belongs in a store.
type Processor[K, V, K2, V2 any] interface {
	// Init is called once, before the first record. It opens stores and schedules
	// punctuators. ctx is valid as long as the processor.
	Init(ctx Context[K2, V2]) error

	// Process handles one record. ctx is the one that Init was given, and is valid only
	// inside the call. A returned error, or a panic, goes to the error policy.
	Process(ctx Context[K2, V2], r Record[K, V]) error
}

// Flusher is a Processor that is told when its task is about to commit. Flush may forward
// records and write to stores; both are part of the transaction. It is called at every
// commit that has something to commit, parents before children.
type Flusher[K2, V2 any] interface {
	Flush(ctx Context[K2, V2]) error
}

// Patient is a Processor whose effects nobody waits for until it calls
// [Context.Commit]. A processor that gathers records until a certain time is patient, for
// example. The method is called once, after Init.
//
// A worker without work usually commits before Config.CommitInterval has passed, because
// somebody may wait for what was processed: readers of a topic, other tasks, queries. If
// all records since the last commit went to patient processors only, and none was sent to
// a topic, it commits when the interval has passed. What Flush sends does not count.
// Results and guarantees do not depend on this.
type Patient interface {
	Patient() bool
}

// Closer is a Processor that has something to release. Close is called once, when the
// task is closed or after an abort. It must not forward records or use stores.
type Closer interface {
	Close() error
}

// TimeKind says which clock drives a punctuator.
type TimeKind int

const (
	// StreamTime is the largest timestamp that the task has taken for processing. It
	// advances only with input.
	StreamTime TimeKind = iota
	// WallClock is the machine's clock. In a test it is the test driver's clock.
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
// not the slot that was due: several missed slots make one call. A record that the
// punctuator forwards without a timestamp gets now.
type Punctuator[K2, V2 any] func(ctx Context[K2, V2], now time.Time) error

// Schedule is a punctuator that was scheduled with [Context.Every].
type Schedule interface {
	// Cancel ends the schedule. The punctuator itself and Close may call it; another
	// goroutine must not.
	Cancel()
}

// Metadata identifies the Kafka record that is being processed. A punctuator and Flush
// have no such record: Topic is then empty, and Partition and Offset are -1.
type Metadata struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Task identifies a task. The task reads one partition, Partition, of each topic of the
// sub-topology SubTopology. Those topics have Partitions partitions.
//
// The writer of a global store counts as a task with the SubTopology -1, in each process.
// It reads all partitions. Where a partition matters, Partition names it.
type Task struct {
	SubTopology int
	Partition   int32
	Partitions  int32
}

// Global reports whether the task is the writer of a global store.
func (t Task) Global() bool { return t.SubTopology < 0 }

// String returns sub-topology and partition as in logs and errors, such as "1_7". For the
// writer of a global store it returns "global".
func (t Task) String() string {
	if t.Global() {
		return "global"
	}
	return fmt.Sprintf("%d_%d", t.SubTopology, t.Partition)
}
