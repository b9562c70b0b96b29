package processor

import (
	"context"
	"log/slog"
	"time"
)

// Context is what a processor sees of its task. Only the goroutine that runs the task may
// use it, and only inside a call of Init, Process, Flush or a punctuator. A use outside
// of such a call has no effect, and ends the application with [ErrOutsideCall]. The same
// holds for a write to a store. The methods Context, Task and Logger may be called at any
// time, from any goroutine. The zero Context belongs to no task, and its methods panic.
//
// Context is a struct and not an interface, so that it can get more methods. To test a
// processor, run it in a topology with package topologytest.
type Context[K2, V2 any] struct{ host Host[K2, V2] }

// Context is cancelled when the task has to stop. Pass it to calls that block.
func (c Context[K2, V2]) Context() context.Context { return c.host.Context() }

// Forward passes a record to all children, in order, depth first. It returns when they
// have handled it. The error policy handles an error in a child; the caller of Forward
// never sees it.
//
// A record with the zero Timestamp gets the time of the call, like a write to a store:
//
//   - in Process: the timestamp of the record that Process was given;
//   - in a punctuator: now;
//   - in Init and Flush: StreamTime or, before the first record, Now.
//
// The zero Timestamp therefore never stands for 1970-01-01T00:00:00.000Z. That timestamp
// can be forwarded only where it is the time of the call.
func (c Context[K2, V2]) Forward(r Record[K2, V2]) { c.host.Forward(r) }

// ForwardTo passes a record to the child with the given name. If no child has that name,
// the call counts as an error of the processor and goes to the error policy.
func (c Context[K2, V2]) ForwardTo(child string, r Record[K2, V2]) { c.host.ForwardTo(child, r) }

// Every calls p once per interval. The kind of time says which clock counts:
//
//   - Stream time: the first call comes at the first record, after the record itself.
//     Later calls come at the first record at or beyond each multiple of interval since
//     1970.
//   - Wall clock: the first call comes one interval after the call of Every. Later calls
//     keep that phase.
//
// With an interval below one millisecond, Init fails.
func (c Context[K2, V2]) Every(interval time.Duration, kind TimeKind, p Punctuator[K2, V2]) Schedule {
	return c.host.EveryFrom(time.Time{}, interval, kind, p)
}

// EveryFrom is Every with a given phase: the slots are start, start+interval,
// start+2*interval and so on. If start is in the past, the first call comes at the next
// slot.
func (c Context[K2, V2]) EveryFrom(start time.Time, interval time.Duration, kind TimeKind, p Punctuator[K2, V2]) Schedule {
	return c.host.EveryFrom(start, interval, kind, p)
}

// Store returns the store with the given name. The processor must have been given the
// store when the topology was built. The result has no methods to read or write rows: the
// Open functions of the packages state, windowstore, sessionstore and versionedstore
// return the store with its type.
func (c Context[K2, V2]) Store(name string) (Store, error) { return c.host.Store(name) }

// Metadata says which Kafka record is being processed.
func (c Context[K2, V2]) Metadata() Metadata { return c.host.Metadata() }

// Task identifies the task.
func (c Context[K2, V2]) Task() Task { return c.host.Task() }

// StreamTime returns the largest timestamp that the task has taken for processing, or -1
// before the first record.
func (c Context[K2, V2]) StreamTime() Timestamp { return c.host.StreamTime() }

// Now returns the time of the wall clock. In a test it is the test driver's clock.
func (c Context[K2, V2]) Now() time.Time { return c.host.Now() }

// Commit asks for a commit soon. It does not wait for the commit.
func (c Context[K2, V2]) Commit() { c.host.Commit() }

// Logger returns a logger whose lines name the application, the task and the node. It is
// never nil.
func (c Context[K2, V2]) Logger() *slog.Logger { return c.host.Logger() }

// Position returns the number that SetPosition stored under the name. The bool is false
// if there is none.
func (c Context[K2, V2]) Position(name string) (int64, bool) { return c.host.Position(name) }

// SetPosition stores a number under a name that is local to the node. The number is
// committed together with the offsets of the task's input. It therefore survives a
// restart, a move to another process and a lost disk, and an abort takes it back.
func (c Context[K2, V2]) SetPosition(name string, v int64) { c.host.SetPosition(name, v) }

// SetHeld tells the task how many bytes the processor holds in its fields until the next
// commit. The number is the processor's own estimate, and is valid until the next call.
// The task adds it to the uncommitted changes of its stores. If the sum exceeds the
// task's part of Config.StateMemory, the application commits early.
func (c Context[K2, V2]) SetHeld(bytes int64) { c.host.SetHeld(bytes) }

// OnCommitted registers f for the transaction that is open now. After Kafka has confirmed
// that transaction, f is called once, on the task's goroutine. If the transaction aborts,
// or the process dies first, f is never called.
func (c Context[K2, V2]) OnCommitted(f func()) { c.host.OnCommitted(f) }

// Drop counts the current record as dropped. Hooks get the reason, and the log shows it
// at level debug.
func (c Context[K2, V2]) Drop(reason string) { c.host.Drop(reason) }

// NewContext returns the context through which a processor reaches its host. Only
// Millrace calls it.
func NewContext[K2, V2 any](h Host[K2, V2]) Context[K2, V2] { return Context[K2, V2]{h} }

// Host is what runs a processor. Millrace implements it and may add methods at any time.
// Programs use [Context].
type Host[K2, V2 any] interface {
	Context() context.Context
	Forward(r Record[K2, V2])
	ForwardTo(child string, r Record[K2, V2])
	// EveryFrom with a zero start has the phase of Every.
	EveryFrom(start time.Time, interval time.Duration, kind TimeKind, p Punctuator[K2, V2]) Schedule
	Store(name string) (Store, error)
	Metadata() Metadata
	Task() Task
	StreamTime() Timestamp
	Now() time.Time
	Commit()
	Logger() *slog.Logger
	Position(name string) (int64, bool)
	SetPosition(name string, v int64)
	SetHeld(bytes int64)
	OnCommitted(f func())
	Drop(reason string)
}
