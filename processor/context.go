package processor

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Processor handles the records of one node in one task. A task calls its processors from one goroutine, so a processor needs no lock.
// After an aborted transaction the task makes a new processor: nothing that a processor keeps in its fields survives an abort, state
// that must survive belongs into a store.
type Processor[K, V, K2, V2 any] interface {
	// Init is called once, before the first record. It opens stores and schedules punctuators. ctx is valid as long as the processor.
	Init(ctx Context[K2, V2]) error

	// Process handles one record. ctx is the one that Init got, and is valid only inside the call. A returned error, or a panic, goes to
	// the error policy.
	Process(ctx Context[K2, V2], r Record[K, V]) error
}

// Flusher is a Processor that wants to know when its task is about to commit. Flush may forward records and write to stores; what it
// does is part of the transaction. It is called at every commit that has something to commit, parents before children.
type Flusher[K2, V2 any] interface {
	Flush(ctx Context[K2, V2]) error
}

// Closer is a Processor that holds something to release. Close is called once, when the task is closed or after an abort. It must not
// forward records or use stores.
type Closer interface {
	Close() error
}

// TimeKind says which clock drives a punctuator.
type TimeKind int

const (
	// StreamTime is the largest timestamp that the task has taken for processing. It does not move without input.
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

// Punctuator is called by a schedule. now is the current time of the schedule's clock, not the slot that was due: slots that were missed
// collapse into one call. What it forwards without a timestamp has now as its timestamp.
type Punctuator[K2, V2 any] func(ctx Context[K2, V2], now time.Time) error

// Schedule is a punctuator that was scheduled with [Context.Every].
type Schedule interface {
	// Cancel ends the schedule. It may be called by the punctuator itself.
	Cancel()
}

// Metadata says which Kafka record is being processed. In a punctuator and in Flush there is none: Topic is empty, Partition and
// Offset are -1.
type Metadata struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Task identifies a task: partition Partition of Partitions of the topics that sub-topology SubTopology reads.
type Task struct {
	SubTopology int
	Partition   int32
	Partitions  int32
}

// String returns sub-topology and partition as logs and errors do, as in 1_7.
func (t Task) String() string { return fmt.Sprintf("%d_%d", t.SubTopology, t.Partition) }

// Context is what a processor sees of its task. It must be used only by the goroutine that runs the task, and only inside a call of
// Init, Process, Flush or a punctuator.
type Context[K2, V2 any] interface {
	// Context is cancelled when the task has to stop; pass it to what blocks.
	Context() context.Context

	// Forward passes a record to all children, in order, depth first; it returns when they are done with it. An error in a child is
	// handled by the error policy, and never comes back to the caller.
	//
	// A record with the zero Timestamp gets the time of the call, as a write to a store does:
	//
	//   - in Process, the timestamp of the record that Process was given;
	//   - in a punctuator, now;
	//   - in Init and Flush, StreamTime or, before the first record, Now.
	//
	// So the timestamp 1970-01-01T00:00:00.000Z itself cannot be forwarded at another time.
	Forward(r Record[K2, V2])

	// ForwardTo passes a record to the child with the name; a name that is no child's is an error of the caller, and goes to the
	// error policy as such.
	ForwardTo(child string, r Record[K2, V2])

	// Every calls p each interval of the kind of time.
	//
	// Stream time: for the first time at the first record (after the record itself), then at the first record at or beyond each multiple
	// of interval since 1970. Wall clock: for the first time an interval after the call, then keeping that phase.
	// An interval below one millisecond is an error of the caller, and fails Init.
	Every(interval time.Duration, kind TimeKind, p Punctuator[K2, V2]) Schedule

	// EveryFrom is Every with the phase given: slots are start, start+interval, ...; of a start in the past only the phase counts.
	EveryFrom(start time.Time, interval time.Duration, kind TimeKind, p Punctuator[K2, V2]) Schedule

	// Store returns the store with the name, which the processor must have been given when the topology was built. Use the typed
	// functions of the packages state and windowstore instead: they return the store with its type.
	Store(name string) (Store, error)

	Metadata() Metadata
	Task() Task
	StreamTime() Timestamp // -1 before the first record
	Now() time.Time        // wall clock; the test driver's in tests
	Commit()               // asks for a commit soon
	Logger() *slog.Logger  // never nil; carries application, task and node

	// Position and SetPosition keep a number under a name that is local to the node. It is committed together with the
	// offsets of the task's input, so it survives a restart, a move to another process and a lost disk, and goes back with an abort.
	Position(name string) (int64, bool)
	SetPosition(name string, v int64)

	// SetHeld tells how many bytes the processor holds in its fields until the next commit. They are counted with the uncommitted changes of stores: when these
	// together take more than their part of Config.StateMemory, the application commits early. It is an estimate of the processor, and counts until the
	// next call.
	SetHeld(bytes int64)

	// OnCommitted calls f once after the transaction that is open now has been confirmed by Kafka, on the task's goroutine. If the
	// transaction aborts, or the process dies first, f is never called.
	OnCommitted(f func())

	// Drop counts the current record as dropped, with the reason in the hooks, and in the log at the level debug.
	Drop(reason string)
}
