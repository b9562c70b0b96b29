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

	// KeyBytes is the encoding of Key, or nil if it is unknown. It is valid during the
	// call. A node that passes a key on unchanged also passes its bytes on, so that a
	// store or sink need not encode the key again. A node that runs user code which may
	// change the key must not.
	KeyBytes []byte

	// Earlier says, of an update of a versioned table, that the key has a newer version:
	// the update changes the past only. It is sent if every update is.
	Earlier bool
}

// Receiver is a node's instance in a task, as its parent sees it. An error means that the
// task has failed for good; the error policy has already been asked. Only the task's
// goroutine may call a Receiver.
type Receiver[K, V any] interface {
	Receive(r *Record[K, V]) error
}

// Input is one record of a source topic, raw. Its bytes belong to the task until the
// record is committed.
type Input struct {
	Topic     string
	Partition int32
	Offset    int64
	// Kafka's; while the record is processed, the extracted event time.
	Timestamp  processor.Timestamp
	Key, Value []byte // nil when absent
	Headers    processor.Headers
}

// SourceNode is the instance of a Source node.
type SourceNode interface {
	// Timestamp extracts the record's event time. partitionTime is the largest valid
	// timestamp of the partition so far, -1 at first. ok = false drops the record; the
	// node has counted it with Task.Drop. It is called when the record becomes the head
	// of its queue.
	Timestamp(in *Input, partitionTime processor.Timestamp) (ts processor.Timestamp, ok bool, err error)

	// Receive decodes the record and passes it on. Its Timestamp is the extracted one.
	// The task has made it the current record.
	Receive(in *Input) error
}

// PatientNode is the instance of a node that knows whether its records are waited for.
type PatientNode interface {
	// Patient reports whether nobody waits for what the node does with a record, until it
	// calls Task.RequestCommit or Task.Send.
	Patient() bool
}

// Output is a record that a task sends.
type Output struct {
	Topic     string
	Partition int32 // -1: the client chooses, for records without a key
	Key       []byte
	Value     []byte
	Timestamp processor.Timestamp
	Headers   processor.Headers
	Node      *Node // the sending node; nil for changelogs and dead letters
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
	// processed, for a dead letter during a flush. Otherwise it returns nil.
	Input() *Input
	StreamTime() processor.Timestamp
	Now() time.Time

	// Send passes a record to the producer. The bytes of Key and Value must not change
	// afterwards. A returned error is a failure of the task. If the record is refused,
	// Send itself asks the error policy, and returns nil.
	Send(out Output) error

	// Combines reports whether records for a repartition topic may be combined until the
	// commit. It does not change before the next commit.
	Combines(topic string) bool

	// Partitions returns the number of partitions of a topic that the topology writes.
	Partitions(topic string) (int32, error)

	// Fail passes an error of node n to the error policy. again may be nil. With Retry,
	// it is called to repeat the failed step. It must have no effects besides its result.
	// If it has had others, it says so with Effects, and the record is replayed.
	//
	//   - ok = true: again has succeeded. Continue.
	//   - ok = false and failure == nil: drop what the node was doing, and return nil.
	//   - failure != nil: the task has failed. Return failure.
	//
	// Call Fail from a method of its own, off the record's fast path, because a closure
	// moves its variables to the heap.
	Fail(n *Node, phase processor.Phase, err error, again func() error) (ok bool, failure error)

	Drop(n *Node, reason string)

	// BufferFull reports that the node has passed rows on before their time, because its
	// buffer is full.
	BufferFull(n *Node, rows int64)

	// Foreign returns a function that reports whether its caller runs on another
	// goroutine than the task. It is nil if nothing detects that, as in production.
	Foreign() func() bool
	// Misused ends the task with an error of the node. Any goroutine may call it.
	Misused(n *Node, err error)

	// Store returns the instance of a store of the task: a value of package state or
	// windowstore. The instance of a global store is a store.Reader, which the task has
	// for itself.
	Store(name string) (processor.Store, error)

	// SetWriteTime sets the timestamp of writes to stores without a timestamp, and
	// returns the former one. -1 stands for the timestamp of the input record, the
	// punctuation or the flush. A node whose user code writes to stores sets it to the
	// timestamp of its record, and resets it afterwards.
	SetWriteTime(at processor.Timestamp) (before processor.Timestamp)

	// Schedule calls f at each slot. A zero start means the phase that Context.Every
	// documents. The task passes errors of f to the policy.
	Schedule(n *Node, kind processor.TimeKind, start time.Time, interval time.Duration, f func(now time.Time) error) processor.Schedule

	// OnIdle registers f to be called while all inputs of the task that feed the node are
	// idle, whenever that is confirmed; see Idle. Functions are called parents before
	// children. worked says that f has done something that must be committed.
	OnIdle(n *Node, f func(Idle) (worked bool, err error))

	// OnFlush registers f to be called at every commit, before the stores are flushed.
	// Functions are called parents before children, in order of Node.ID.
	OnFlush(n *Node, f func() error)
	// OnClose registers f to be called when the task ends, children first.
	OnClose(n *Node, f func() error)
	OnCommitted(f func())
	RequestCommit()

	// Hold counts bytes that a node holds in memory until the next commit. A negative
	// number releases them.
	Hold(bytes int64)

	// Time returns the cell of a named operator time. It is -1 if it has never been set.
	// It is committed with the offsets. After an abort it has the committed value again,
	// and nodes are made again.
	Time(name string) *processor.Timestamp
	// Position is the same for numbers of processors. The cell's Set says whether there
	// is one.
	Position(name string) *Position
}

// Final marks an error of a node that no error policy may skip, because the results would
// then be wrong: the rest of a flush, or of the records that a punctuator forwards, would
// be lost. nil stays nil.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

// IsFinal reports whether err was marked by Final.
func IsFinal(err error) bool {
	if err == nil {
		return false
	}
	var f *finalError
	return errors.As(err, &f)
}

type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// OtherRow marks an error about another row than the one that the record has made: the
// row before an update, or a row that a join of tables looks up. The record is not
// dropped because of it. A policy that drops records therefore does not count it, and
// writes no dead letter. which names the row. nil stays nil.
func OtherRow(which string, err error) error {
	if err == nil {
		return nil
	}
	return &otherRowError{which, err}
}

// IsOtherRow reports whether err was marked by OtherRow.
func IsOtherRow(err error) bool {
	var o *otherRowError
	return errors.As(err, &o)
}

type otherRowError struct {
	which string
	err   error
}

func (e *otherRowError) Error() string { return e.which + ": " + e.err.Error() }
func (e *otherRowError) Unwrap() error { return e.err }

// Effects marks an error of again (see Task.Fail): the call has had effects besides its
// result, and must not be repeated alone. nil stays nil.
func Effects(err error) error {
	if err == nil {
		return nil
	}
	return &effectsError{err}
}

// HasEffects reports whether err was marked by Effects, and returns the marked error.
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

// Idle is a time for which inputs were idle: at Since and at Until, and several times in
// between, Kafka has confirmed that the task had processed all their records.
type Idle struct{ Since, Until time.Time }

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
