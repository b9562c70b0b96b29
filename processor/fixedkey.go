package processor

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// FixedKeyProcessor is a [Processor] that cannot change the key of a record. Grouping and
// joining by key therefore need no repartitioning behind it. topology.ProcessValues
// attaches it.
//
// It may also implement [FixedKeyFlusher], [Patient] and [Closer]. Everything else that
// is said about a Processor holds for it too.
type FixedKeyProcessor[K, V, V2 any] interface {
	// Init is called once, before the first record. It opens stores and schedules
	// punctuators. ctx is valid as long as the processor.
	Init(ctx FixedKeyContext[K, V2]) error

	// Process handles one record. ctx is the one that Init was given, and is valid only
	// inside the call. A returned error, or a panic, goes to the error policy.
	Process(ctx FixedKeyContext[K, V2], r FixedKeyRecord[K, V]) error
}

// FixedKeyFlusher is the [Flusher] among the FixedKeyProcessors.
type FixedKeyFlusher[K, V2 any] interface {
	Flush(ctx FixedKeyContext[K, V2]) error
}

// FixedKeyPunctuator is the [Punctuator] of a FixedKeyProcessor. It can forward records
// that the processor was given before, with new values.
type FixedKeyPunctuator[K, V2 any] func(ctx FixedKeyContext[K, V2], now time.Time) error

// FixedKeyRecord is a record whose key cannot be changed. A FixedKeyProcessor is given
// one for each record. It makes others from it with [WithFixedKeyValue] and the With
// methods: the new record has the same key. There is no other way to make one. The zero
// FixedKeyRecord cannot be forwarded.
//
// The processor may keep a FixedKeyRecord, and forward it in a later call. It must not
// change what the key points to.
type FixedKeyRecord[K, V any] struct {
	r    Record[K, V]
	made bool // from the record of a call of Process
}

// Key returns the key, or the zero value if there is none.
func (r FixedKeyRecord[K, V]) Key() K { return r.r.Key }

// Value returns the value, or the zero value if there is none.
func (r FixedKeyRecord[K, V]) Value() V { return r.r.Value }

// NoKey reports whether the record has no key.
func (r FixedKeyRecord[K, V]) NoKey() bool { return r.r.NoKey }

// NoValue reports whether the record has no value.
func (r FixedKeyRecord[K, V]) NoValue() bool { return r.r.NoValue }

// Timestamp returns the timestamp.
func (r FixedKeyRecord[K, V]) Timestamp() Timestamp { return r.r.Timestamp }

// Headers returns the headers. They must not be changed in place.
func (r FixedKeyRecord[K, V]) Headers() Headers { return r.r.Headers }

// WithTimestamp returns r with another timestamp.
func (r FixedKeyRecord[K, V]) WithTimestamp(at Timestamp) FixedKeyRecord[K, V] {
	r.r.Timestamp = at
	return r
}

// WithHeaders returns r with other headers.
func (r FixedKeyRecord[K, V]) WithHeaders(h Headers) FixedKeyRecord[K, V] {
	r.r.Headers = h
	return r
}

// WithoutValue returns r without a value.
func (r FixedKeyRecord[K, V]) WithoutValue() FixedKeyRecord[K, V] {
	var none V
	r.r.Value, r.r.NoValue = none, true
	return r
}

// WithFixedKeyValue returns r with another value, of any type. The value is present.
func WithFixedKeyValue[V2, K, V any](r FixedKeyRecord[K, V], value V2) FixedKeyRecord[K, V2] {
	return FixedKeyRecord[K, V2]{WithValue(r.r, value), r.made}
}

// FixedKeyContext is the [Context] of a FixedKeyProcessor. It forwards FixedKeyRecords
// only. Where nothing else is said, its methods are those of Context.
type FixedKeyContext[K, V2 any] struct{ ctx Context[K, V2] }

// Stores returns the context for the Open functions of the packages state, windowstore,
// sessionstore and versionedstore:
//
//	p.counts = state.Open(ctx.Stores(), counts)
//
// Nothing can be forwarded with it.
func (c FixedKeyContext[K, V2]) Stores() Context[struct{}, struct{}] {
	return Context[struct{}, struct{}]{storesOnly[K, V2]{c.ctx.host}}
}

// Forward passes a record to all children. It panics if r is the zero FixedKeyRecord.
func (c FixedKeyContext[K, V2]) Forward(r FixedKeyRecord[K, V2]) { c.ctx.Forward(r.forwarded()) }

// ForwardTo passes a record to the child with the given name. It panics if r is the zero
// FixedKeyRecord.
func (c FixedKeyContext[K, V2]) ForwardTo(child string, r FixedKeyRecord[K, V2]) {
	c.ctx.ForwardTo(child, r.forwarded())
}

func (r FixedKeyRecord[K, V]) forwarded() Record[K, V] {
	if !r.made {
		panic(errors.New("forward: the record is the zero FixedKeyRecord: make it from the record that Process was given, with processor.WithFixedKeyValue"))
	}
	return r.r
}

// Every calls p once per interval.
func (c FixedKeyContext[K, V2]) Every(interval time.Duration, kind TimeKind, p FixedKeyPunctuator[K, V2]) Schedule {
	return c.EveryFrom(time.Time{}, interval, kind, p)
}

// EveryFrom is Every with a given phase.
func (c FixedKeyContext[K, V2]) EveryFrom(start time.Time, interval time.Duration, kind TimeKind, p FixedKeyPunctuator[K, V2]) Schedule {
	if p == nil {
		return c.ctx.EveryFrom(start, interval, kind, nil)
	}
	return c.ctx.EveryFrom(start, interval, kind, func(_ Context[K, V2], now time.Time) error { return p(c, now) })
}

// Context is cancelled when the task has to stop.
func (c FixedKeyContext[K, V2]) Context() context.Context { return c.ctx.Context() }

// Metadata says which Kafka record is being processed.
func (c FixedKeyContext[K, V2]) Metadata() Metadata { return c.ctx.Metadata() }

// Task identifies the task.
func (c FixedKeyContext[K, V2]) Task() Task { return c.ctx.Task() }

// StreamTime returns the largest timestamp that the task has taken for processing, or -1
// before the first record.
func (c FixedKeyContext[K, V2]) StreamTime() Timestamp { return c.ctx.StreamTime() }

// Now returns the time of the wall clock.
func (c FixedKeyContext[K, V2]) Now() time.Time { return c.ctx.Now() }

// Commit asks for a commit soon.
func (c FixedKeyContext[K, V2]) Commit() { c.ctx.Commit() }

// Logger returns a logger whose lines name the application, the task and the node.
func (c FixedKeyContext[K, V2]) Logger() *slog.Logger { return c.ctx.Logger() }

// Position returns the number that SetPosition stored under the name.
func (c FixedKeyContext[K, V2]) Position(name string) (int64, bool) { return c.ctx.Position(name) }

// SetPosition stores a number under a name that is local to the node.
func (c FixedKeyContext[K, V2]) SetPosition(name string, v int64) { c.ctx.SetPosition(name, v) }

// SetHeld tells the task how many bytes the processor holds in its fields.
func (c FixedKeyContext[K, V2]) SetHeld(bytes int64) { c.ctx.SetHeld(bytes) }

// OnCommitted registers f for the transaction that is open now.
func (c FixedKeyContext[K, V2]) OnCommitted(f func()) { c.ctx.OnCommitted(f) }

// Drop counts the current record as dropped.
func (c FixedKeyContext[K, V2]) Drop(reason string) { c.ctx.Drop(reason) }

// storesOnly is a host that forwards nothing. Its other methods are those of the host
// that it stands for.
type storesOnly[K, V2 any] struct{ Host[K, V2] }

var errStoresOnly = errors.New("the context of FixedKeyContext.Stores only opens stores: use the FixedKeyContext itself")

func (storesOnly[K, V2]) Forward(Record[struct{}, struct{}])           { panic(errStoresOnly) }
func (storesOnly[K, V2]) ForwardTo(string, Record[struct{}, struct{}]) { panic(errStoresOnly) }
func (storesOnly[K, V2]) EveryFrom(time.Time, time.Duration, TimeKind, Punctuator[struct{}, struct{}]) Schedule {
	panic(errStoresOnly)
}
