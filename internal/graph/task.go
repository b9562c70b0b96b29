package graph

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/millrace-streams/millrace/processor"
)

// Record is a record between two nodes of a task. A node owns the Record it passes on,
// and reuses it: a receiver must not keep the pointer, nor change what it points to.
type Record[K, V any] struct {
	processor.Record[K, V]

	// KeyBytes is the encoding of Key if it is known, else nil. It is valid during the
	// call. A node that passes a key on unchanged passes its bytes on too, so that a
	// store or sink need not encode it again; a node that runs user code which may change
	// the key must not.
	KeyBytes []byte
}

// Receiver is a node's instance in a task as its parent sees it. An error means that the
// task has failed for good: the error policy has been asked already. Receivers are called
// by the task's goroutine only.
type Receiver[K, V any] interface {
	Receive(r *Record[K, V]) error
}

// Input is one record of a source topic, raw. Its bytes belong to the task until the
// record is committed.
type Input struct {
	Topic      string
	Partition  int32
	Offset     int64
	Timestamp  processor.Timestamp // as in Kafka; while the record is processed, the event time that was extracted
	Key, Value []byte              // nil when absent
	Headers    processor.Headers
}

// SourceNode is the instance of a Source node.
type SourceNode interface {
	// Timestamp extracts the record's event time. partitionTime is the largest valid
	// timestamp of the partition so far, -1 at first. ok = false drops the record
	// (counted, reason given to Task.Drop by the node). It is called when the record
	// becomes the head of its queue.
	Timestamp(in *Input, partitionTime processor.Timestamp) (ts processor.Timestamp, ok bool, err error)

	// Receive decodes the record, whose Timestamp is the extracted one, and passes it on.
	// The task has made it the current record.
	Receive(in *Input) error
}

// Output is a record that a task sends.
type Output struct {
	Topic     string
	Partition int32 // -1: by the client's choice, for records without a key
	Key       []byte
	Value     []byte
	Timestamp processor.Timestamp
	Headers   processor.Headers
	Node      *Node // that sends it; nil for changelogs and dead letters
}

// Task is a task as its nodes see it.
type Task interface {
	Context() context.Context
	ID() processor.Task
	ApplicationID() string
	EveryUpdate() bool // the application's default
	Logger() *slog.Logger

	Metadata() processor.Metadata // of the current record; none in punctuators and Flush
	// Input returns the current input record if it may be needed after it has been
	// processed, for the dead letter of a flush that is about it; else nil.
	Input() *Input
	StreamTime() processor.Timestamp
	Now() time.Time

	// Send hands a record to the producer. The bytes of Key and Value must stay unchanged
	// afterwards. It returns a failure of the task, not of the record: refusals are given
	// to the error policy by Send itself (nil is returned then).
	Send(out Output) error

	// Partitions returns the number of partitions of a topic that the topology writes.
	Partitions(topic string) (int32, error)

	// Fail gives an error of node n to the error policy. again, which may be nil, runs
	// what failed once more, and must have no effects besides its own result (if it has
	// had some, it says so with Effects, and the record is replayed); it is called under
	// Retry. Afterwards: ok = true, again has succeeded, go on; ok = false and failure ==
	// nil, drop what the node was doing and return nil; else the task has failed, return
	// failure up. Call it off the record's fast path, from a method of its own: a
	// closure's variables live on the heap.
	Fail(n *Node, phase processor.Phase, err error, again func() error) (ok bool, failure error)

	Drop(n *Node, reason string)

	// Foreign returns a function that reports whether its caller runs on another
	// goroutine than the task. It is nil if nobody watches that, as in production.
	Foreign() func() bool
	// Misused ends the task with an error of the node. Any goroutine may call it.
	Misused(n *Node, err error)

	// Store returns the instance of a store of the task: a value of package state or
	// windowstore.
	Store(name string) (processor.Store, error)

	// SetWriteTime sets the timestamp of writes to stores that say none, and returns what
	// it was. -1 stands for the timestamp of the input record, the punctuation or the
	// flush. A node whose user writes to stores sets it to that of the record it gets,
	// and sets it back.
	SetWriteTime(at processor.Timestamp) (before processor.Timestamp)

	// Schedule calls f at each slot; a zero start means the phase that Context.Every
	// documents. f's errors go to the policy by the task.
	Schedule(n *Node, kind processor.TimeKind, start time.Time, interval time.Duration, f func(now time.Time) error) processor.Schedule

	// OnFlush registers f to be called at every commit, before the stores are flushed.
	// Functions are called parents before children, that is by Node.ID.
	OnFlush(n *Node, f func() error)
	// OnClose registers f to be called when the task ends, children first.
	OnClose(n *Node, f func() error)
	OnCommitted(f func())
	RequestCommit()

	// Hold counts bytes that a node holds in memory until the next commit; negative, it
	// gives them back.
	Hold(bytes int64)

	// Time returns the cell of a named operator time, -1 when it has never been set. It
	// is committed with the offsets and goes back with an abort (nodes are made anew
	// then).
	Time(name string) *processor.Timestamp
	// Position is the same for numbers of processors; the cell's Set says whether there
	// is one.
	Position(name string) *Position
}

// Final marks an error of a node that no error policy may skip, because going on would
// give wrong results: what is left of a flush, or of what a punctuator forwards, would be
// lost. nil stays nil.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

// IsFinal reports whether err was marked by Final.
func IsFinal(err error) bool {
	var f *finalError
	return errors.As(err, &f)
}

type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// Effects marks an error of again (see Task.Fail): the call has had effects besides its
// result, and must not be repeated in place. nil stays nil.
func Effects(err error) error {
	if err == nil {
		return nil
	}
	return &effectsError{err}
}

// HasEffects reports whether err was marked by Effects, and returns what was marked.
func HasEffects(err error) (cause error, ok bool) {
	var e *effectsError
	if errors.As(err, &e) {
		return e.err, true
	}
	return err, false
}

type effectsError struct{ err error }

func (e *effectsError) Error() string { return e.err.Error() }
func (e *effectsError) Unwrap() error { return e.err }

// Position is a named number that is committed with the offsets.
type Position struct {
	Value int64
	Set   bool
}

// Guard turns a panic of user code into a *processor.PanicError in *err. It must be
// deferred directly.
func Guard(err *error) {
	if v := recover(); v != nil {
		*err = &processor.PanicError{Value: v, Stack: debug.Stack()}
	}
}
