package processor

import (
	"context"
	"log/slog"
	"time"
)

// Context is what a processor sees of its task. It must be used only by the goroutine
// that runs the task, and only inside a call of Init, Process, Flush or a punctuator. A
// use outside of a call has no effect, and ends the application with [ErrOutsideCall]. So
// does a write to a store. The methods Context, Task and Logger may be called anywhere.
// The zero Context belongs to no task, and its methods panic.
//
// Context is a struct, and no interface: it will get more methods, and nobody else can
// implement it. To test a processor, run it in a topology with package topologytest.
type Context[K2, V2 any] struct{ host Host[K2, V2] }

// Context is cancelled when the task has to stop. Pass it to calls that block.
func (c Context[K2, V2]) Context() context.Context { return c.host.Context() }

// Forward passes a record to all children, in order, depth first. It returns when they
// are done with it. An error in a child is handled by the error policy, and never comes
// back to the caller.
//
// A record with the zero Timestamp gets the time of the call, as a write to a store does:
//
//   - in Process, the timestamp of the record that Process was given;
//   - in a punctuator, now;
//   - in Init and Flush, StreamTime or, before the first record, Now.
//
// So the timestamp 1970-01-01T00:00:00.000Z itself cannot be forwarded at another time.
func (c Context[K2, V2]) Forward(r Record[K2, V2]) { c.host.Forward(r) }

// ForwardTo passes a record to the child with the name. If no child has the name, that is
// an error of the caller, and goes to the error policy as such.
func (c Context[K2, V2]) ForwardTo(child string, r Record[K2, V2]) { c.host.ForwardTo(child, r) }

// Every calls p each interval of the kind of time.
//
// Stream time: p is called for the first time at the first record, after the record
// itself. From then on it is called at the first record at or beyond each multiple of
// interval since 1970.
//
// Wall clock: p is called for the first time an interval after the call of Every. From
// then on that phase is kept.
//
// An interval below one millisecond is an error of the caller, and fails Init.
func (c Context[K2, V2]) Every(interval time.Duration, kind TimeKind, p Punctuator[K2, V2]) Schedule {
	return c.host.EveryFrom(time.Time{}, interval, kind, p)
}

// EveryFrom is Every with the phase given. The slots are start, start+interval, ... Of a
// start in the past only the phase counts.
func (c Context[K2, V2]) EveryFrom(start time.Time, interval time.Duration, kind TimeKind, p Punctuator[K2, V2]) Schedule {
	return c.host.EveryFrom(start, interval, kind, p)
}

// Store returns the store with the name. The processor must have been given the store
// when the topology was built. Use the typed functions of the packages state and
// windowstore instead: they return the store with its type.
func (c Context[K2, V2]) Store(name string) (Store, error) { return c.host.Store(name) }

// Metadata says which Kafka record is being processed.
func (c Context[K2, V2]) Metadata() Metadata { return c.host.Metadata() }

// Task identifies the task.
func (c Context[K2, V2]) Task() Task { return c.host.Task() }

// StreamTime returns the largest timestamp that the task has taken for processing, and -1
// before the first record.
func (c Context[K2, V2]) StreamTime() Timestamp { return c.host.StreamTime() }

// Now returns the time of the wall clock. In tests it is the test driver's.
func (c Context[K2, V2]) Now() time.Time { return c.host.Now() }

// Commit asks for a commit soon. It does not wait for it.
func (c Context[K2, V2]) Commit() { c.host.Commit() }

// Logger returns a logger that names application, task and node. It is never nil.
func (c Context[K2, V2]) Logger() *slog.Logger { return c.host.Logger() }

// Position returns the number that SetPosition has set under the name, and whether it
// has.
func (c Context[K2, V2]) Position(name string) (int64, bool) { return c.host.Position(name) }

// SetPosition keeps a number under a name that is local to the node. It is committed
// together with the offsets of the task's input. So it survives a restart, a move to
// another process and a lost disk, and goes back with an abort.
func (c Context[K2, V2]) SetPosition(name string, v int64) { c.host.SetPosition(name, v) }

// SetHeld tells how many bytes the processor holds in its fields until the next commit.
// The number is an estimate of the processor, and counts until the next call. It is added
// to the uncommitted changes of stores: if these together take more than their part of
// Config.StateMemory, the application commits early.
func (c Context[K2, V2]) SetHeld(bytes int64) { c.host.SetHeld(bytes) }

// OnCommitted calls f once, on the task's goroutine, after Kafka has confirmed the
// transaction that is open now. If the transaction aborts, or the process dies first, f
// is never called.
func (c Context[K2, V2]) OnCommitted(f func()) { c.host.OnCommitted(f) }

// Drop counts the current record as dropped. The hooks get the reason, and so does the
// log at the level debug.
func (c Context[K2, V2]) Drop(reason string) { c.host.Drop(reason) }

// NewContext returns the context through which a processor reaches its host. Millrace
// calls it.
func NewContext[K2, V2 any](h Host[K2, V2]) Context[K2, V2] { return Context[K2, V2]{h} }

// Host is what runs a processor. Millrace implements it, and gives it more methods from
// time to time. Programs use [Context].
type Host[K2, V2 any] interface {
	Context() context.Context
	Forward(r Record[K2, V2])
	ForwardTo(child string, r Record[K2, V2])
	EveryFrom(start time.Time, interval time.Duration, kind TimeKind, p Punctuator[K2, V2]) Schedule // a zero start: the phase of Every
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
