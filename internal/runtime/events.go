package runtime

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/health"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

// Events is told what a run does. The goroutines that do the work call it, several at
// once, and wait for it. Its methods must not panic.
type Events interface {
	// State reports what the run is doing. It is called often with the same State.
	State(State)
	// Rebalance is called after tasks were assigned, and before tasks are revoked.
	Rebalance(Rebalance)
	// Restoring reports the progress of the restore of a store.
	Restoring(RestoreProgress)
	// Wiped reports that the local rows of a store were deleted.
	Wiped(StateWiped)
	// Committed reports each commit, including failed ones.
	Committed(worker.Commit)
	// Dropped reports each record that was dropped.
	Dropped(Dropped)
	// Errored reports each error of a task, with the decision of the error policy.
	Errored(err *processor.Error, action processor.Action)
	// BufferFull reports rows that were passed on before their time.
	BufferFull(BufferFull)
	// Migrated reports that all rows of a store's partition have the newest format.
	Migrated(Migrated)
	// TableRetention reports, at the start, that the broker deletes records of the topic
	// of a table.
	TableRetention(TableRetention)
	// Reach reports that a broker, the group or the cluster has become unreachable, or
	// can be reached again.
	Reach(health.Report)
}

// State says what a run is doing.
type State int

// The states, in the order in which a run can pass through them. A run goes back and
// forth between Restoring, Running and Unreachable only. A run that [Run.Next] continues
// has no state after these: the next one begins with Starting.
const (
	// Starting checks topics, fences the predecessor and joins the group.
	Starting State = iota
	// Restoring: at least one task restores its state.
	Restoring
	// Running: all tasks run.
	Running
	// Unreachable: the cluster or the group is out of reach.
	Unreachable
	// Closing: nothing new is started.
	Closing
	// Closed: the run has ended without an error.
	Closed
	// Failed: the run has ended with an error.
	Failed
)

// String returns the state in lower case.
func (s State) String() string {
	names := [...]string{"starting", "restoring", "running", "unreachable", "closing", "closed", "failed"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("state(%d)", int(s))
	}
	return names[s]
}

// Rebalance says which tasks the group has assigned or revoked.
type Rebalance struct {
	Generation int32
	Assigned   []processor.Task
	Revoked    []processor.Task
	// Lost is set if the group has already given the revoked tasks to another process.
	Lost bool
}

// RestoreProgress is the progress of the restore of one store of one task.
type RestoreProgress struct {
	Task      processor.Task
	Store     string
	Changelog string // the topic; the partition is Task.Partition
	Position  int64  // the next offset to read
	End       int64  // the offset at which the restore is done
	Done      bool
}

// StateWiped says which store of which task was wiped, and why.
type StateWiped struct {
	Task   processor.Task
	Store  string
	Reason string
}

// Migrated says that all rows of a store in one task have the newest format of its
// values.
type Migrated struct {
	Task   processor.Task
	Store  string
	Format int   // the number of the format
	Rows   int64 // that were converted since the task was last opened
}

// TableRetention says that the broker deletes records of the topic of a table, or of a
// global store, by their age or by the size of the topic.
type TableRetention struct {
	Table    string // the name of the table or the global store
	Topic    string
	Global   bool          // it is a global store
	Policy   string        // the cleanup.policy of the topic
	MaxAge   time.Duration // retention.ms; -1 if no record is too old
	MaxBytes int64         // retention.bytes; -1 if no partition is too large
	Risk     string        // which rows may be missing, where, and what to do
}

// BufferFull says which node of which task has passed rows on before their time, because
// its buffer is full.
type BufferFull struct {
	Task processor.Task
	Node string
	Rows int64
}

// Dropped is a record that was dropped.
type Dropped struct {
	Task   processor.Task
	Node   string
	Reason string
	Record processor.Metadata
}
