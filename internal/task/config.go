package task

import (
	"context"
	"log/slog"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Config configures a task.
type Config struct {
	ApplicationID string
	Graph         *graph.Graph
	// ID.SubTopology is the index of the sub-topology in Graph.SubTopologies.
	ID processor.Task

	// Whole runs all sub-topologies in this one task, whatever ID.SubTopology is. The
	// writer of a global store uses it, and the test driver's Java order.
	Whole bool

	// Globals has the rows of the graph's global stores, by name. The task only reads
	// them.
	Globals map[string]*engine.Reader

	// Inputs are the input partitions of the task, each with the position and metadata of
	// the last commit.
	Inputs []Committed
	// Fresh are the inputs whose offset must be committed even without a record, because
	// the group has none for them yet, and would not find this one again.
	Fresh []Partition

	// DB is the task's database, restored. It may be nil for a task without stores whose
	// times need no local copy. The task does not close it.
	DB *engine.DB
	// Budget counts the bytes that the task's stores and processors hold in memory. nil
	// means that they are not counted.
	Budget *engine.Budget

	Out    Outbox
	Policy processor.ErrorPolicy

	// Done gets back each slice of records that Add got, with at least its last record,
	// when the task needs none of its records any more. It is not called for all slices.
	// nil: the slices are left to the garbage collector.
	Done func(records []graph.Input)

	// Idle is how long the task waits for new records of an input partition that it has
	// read to the end, before it processes records of the others. 0: not at all.
	Idle time.Duration

	EveryUpdate bool         // the application's default for tables
	Combine     bool         // records of a key may be combined before they are sent
	Logger      *slog.Logger // nil is silent
	Observer    Observer     // nil is none

	// Misuse is told about Contexts that are used outside of their calls. Tasks may share
	// one. nil: the task has its own.
	Misuse *Misuse
	// Foreign reports whether its caller runs on another goroutine than the task. nil:
	// this is not checked.
	Foreign func() bool

	// Memory outlives an abort. nil: nothing is remembered.
	Memory *Memory

	// Context is what Context.Context returns to processors. Default:
	// context.Background().
	Context context.Context
	// Now is the wall clock while the task is made: wall-clock schedules made in Init
	// count from it.
	Now time.Time
	// Sleep waits between retries. If ctx ends, it returns early with an error. nil: no
	// waiting.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Committed is the last commit of an input partition.
type Committed struct {
	Topic     string // full name
	TopicID   [16]byte
	Mark      Mark // of the topic; commits carry it
	Partition int32

	// Offset is the offset of the first record that Add will bring: the committed offset
	// or, without one, the start offset. -1 means unknown. If all offsets are unknown, a
	// commit without a record cannot carry operator times and positions to Kafka, only to
	// the database.
	Offset int64
	// Metadata is the committed metadata, empty if there is none.
	Metadata string
	// Earlier is used instead if Metadata is not that of a commit: the metadata of an
	// earlier commit, which may not be the last one.
	Earlier string
}

// Known returns the metadata of the last known commit, empty if there is none.
func (c Committed) Known() string {
	if IsMetadata(c.Metadata) {
		return c.Metadata
	}
	return c.Earlier
}

// Outbox takes the records that a task sends. Its methods are called inside Process,
// Punctuate and Begin, on the caller's goroutine.
type Outbox interface {
	// Send takes a record for the open transaction. from is the input record that caused
	// it. In punctuators and in Begin, from.Topic is empty, unless the record of a merged
	// update is known. An error fails the task. A later refusal is passed to
	// Task.Refused.
	Send(out graph.Output, from processor.Metadata) error

	// Partitions returns the number of partitions of a topic, by its full name. An
	// ErrNoTopic or an ErrTopicRefused goes to the error policy. An error that another
	// try cannot cure is a graph.Final, and fails the task. After any other error the
	// task replays from its last commit.
	Partitions(topic string) (int32, error)

	// Cautious reports whether records for a topic should be sent as they are, because
	// one that the broker refuses is being searched for.
	Cautious(topic string) bool

	// Limits returns the known limits for records of a topic. It never returns nil. With
	// fresh, Kafka is asked again, unless it was asked recently.
	Limits(topic string, fresh bool) *Limits

	// Oversized is called for a record whose batch is larger than Limits.MaxBytes before
	// compression. It returns the size that the broker would see. If that is not too
	// large, the record is sent.
	Oversized(out graph.Output) int
}

// Observer is told about the decisions of a task. Its methods are called on the task's
// goroutine and must not block.
type Observer interface {
	// Dropped counts a record that a node, or the error policy (Skip), has dropped. In a
	// punctuator and in Flush there is no record.
	Dropped(node, reason string, record processor.Metadata)
	// Errored is called for each error after the policy has decided. The error is valid
	// only during the call.
	Errored(err *processor.Error, action processor.Action)
	// BufferFull reports that a node has passed rows on before their time, because its
	// buffer is full.
	BufferFull(node string, rows int64)
	// Converted reports that all committed rows of a store have the newest format of its
	// values, whose number is format. rows were converted since the task was made. If
	// now is false, there are no rows, or all were converted before.
	Converted(store string, format uint8, rows int64, now bool)
}

// Offset is the position of an input partition in a commit.
type Offset struct {
	Topic     string
	Partition int32
	Offset    int64 // the offset of the next record to process
	Metadata  string
}

// Commit is what a task wants to commit, together with the records that it has sent.
type Commit struct {
	// Offsets are the positions that moved. If operator times or positions have changed,
	// there is at least one (see Committed.Offset for the exception). If empty, there is
	// nothing to commit, but Finish must still be called.
	Offsets []Offset
}
