package task

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Config is what a task is made of.
type Config struct {
	ApplicationID string
	Graph         *graph.Graph
	// ID.SubTopology is the index of the sub-topology in Graph.SubTopologies.
	ID processor.Task

	// Whole runs all sub-topologies in this one task, whatever ID.SubTopology is. Only
	// the test driver's Java order uses it.
	Whole bool

	// Inputs are the input partitions of the task, one entry each: position and metadata
	// of the last commit.
	Inputs []Committed
	// Fresh are those of the inputs whose offset is to be committed even if no record
	// comes: the group has none yet, and would not find this one again.
	Fresh []Partition

	// DB is the task's database, restored. It may be nil for a task without stores whose
	// times need no local copy. The task does not close it.
	DB *engine.DB
	// Budget counts the bytes that the task's stores and processors hold in memory; nil:
	// not counted.
	Budget *engine.Budget

	Out    Outbox
	Policy processor.ErrorPolicy

	// Idle is how long the task waits for new records of an input partition that it has
	// read to the end, before it processes records of the others. 0: not at all.
	Idle time.Duration

	EveryUpdate bool         // the application's default for tables
	Logger      *slog.Logger // nil is silent
	Observer    Observer     // nil is none

	// Misuse is told of Contexts that are used outside of their calls. Tasks may share
	// one. nil: the task has one of its own.
	Misuse *Misuse
	// Foreign reports whether its caller runs on another goroutine than the task. nil:
	// nobody watches that.
	Foreign func() bool

	// Memory is what outlives an abort. nil: nothing does.
	Memory *Memory

	// Context is what Context.Context returns to processors. Default:
	// context.Background().
	Context context.Context
	// Now is the wall clock while the task is made: wall-clock schedules made in Init
	// count from it.
	Now time.Time
	// Sleep waits between retries; it returns early with an error when ctx ends. nil: no
	// waiting.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Committed is the last commit of an input partition.
type Committed struct {
	Topic     string // full name
	TopicID   [16]byte
	Partition int32

	// Offset is the offset of the first record that Add will bring: the committed offset,
	// or where a group without one starts. -1 is "not known"; then a commit without a
	// record from any partition cannot carry operator times and positions to Kafka, only
	// to the database.
	Offset int64
	// Metadata is the committed metadata, empty if there is none.
	Metadata string
}

// Outbox takes what a task sends. Its methods are called inside Process, Punctuate and
// Begin, on the caller's goroutine.
type Outbox interface {
	// Send takes a record for the open transaction. from is the input record that it came
	// from; from.Topic is empty in punctuators and in Begin, unless the record of a
	// merged update is known. An error fails the task. A refusal that comes later is told
	// to Task.Refused.
	Send(out graph.Output, from processor.Metadata) error

	// Partitions returns the number of partitions of a topic, by its full name. Of a
	// topic that does not exist the error is an ErrNoTopic, which is given to the error
	// policy; after any other the task replays from its last commit.
	Partitions(topic string) (int32, error)

	// Limits returns what is known of the records that the topic takes, never nil. With
	// fresh, Kafka is asked again, if that was not done of late.
	Limits(topic string, fresh bool) *Limits

	// Oversized is asked about a record whose batch is larger than Limits.MaxBytes before
	// compression. It returns the size that the broker would see. The record is sent if
	// that is not too large.
	Oversized(out graph.Output) int
}

// Observer is told what a task decides. Methods are called on the task's goroutine and
// must not block.
type Observer interface {
	// Dropped counts a record that a node, or the error policy (Skip), has dropped; in a
	// punctuator and in Flush there is no record.
	Dropped(node, reason string, record processor.Metadata)
	// Errored is called for each error after the policy has decided; the error is valid
	// during the call.
	Errored(err *processor.Error, action processor.Action)
}

// Offset is the position of an input partition in a commit.
type Offset struct {
	Topic     string
	Partition int32
	Offset    int64 // of the next record to be processed
	Metadata  string
}

// Commit is what a task wants to be committed, together with all that it has sent.
type Commit struct {
	// Offsets are those that moved, and one at least if operator times or positions
	// changed (see Committed.Offset for the exception). Empty: there is nothing to
	// commit, though Finish must still be called.
	Offsets []Offset
}
