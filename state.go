package millrace

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
)

// State is the state of an App.
type State int

const (
	// Created: Run has not been called.
	Created State = iota
	// Starting: Run checks topics, fences its predecessor and joins the group.
	Starting
	// Restoring: at least one task of this process waits for its state. The others run.
	Restoring
	// Running: all tasks of this process run. There may be none.
	Running
	// Unreachable: the cluster or the group is out of reach. Tasks keep their state and
	// wait. Snapshot.Reach says since when.
	Unreachable
	// Closing: Run's context has ended, or a task has failed; workers commit what they
	// can.
	Closing
	// Closed: Run has returned nil.
	Closed
	// Failed: Run has returned an error.
	Failed
)

// String returns the state in lower case.
func (s State) String() string {
	names := [...]string{"created", "starting", "restoring", "running", "unreachable", "closing", "closed", "failed"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("state(%d)", int(s))
	}
	return names[s]
}

// MarshalText returns what String returns, so that a Snapshot written as JSON says it in
// words. The error is nil.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Snapshot is what an App was doing at one moment. Counters count since New.
type Snapshot struct {
	State      State
	MemberID   string // in the group; empty before the first join
	Generation int32  // of the group's assignment; -1 before the first

	Records int64 // input records processed, those of aborted transactions included
	Commits int64
	Aborts  int64
	Dropped int64
	Errors  int64 // given to the error policy

	BufferedBytes int64 // of records fetched and not processed
	StateBytes    int64 // held in memory by stores

	Reach Reachability // of the cluster and the group

	Tasks []TaskSnapshot // by sub-topology and partition
}

// TaskSnapshot is one task of a Snapshot.
type TaskSnapshot struct {
	ID         processor.Task
	Worker     int
	Restoring  bool
	LastCommit time.Time // zero before the first
	Partitions []PartitionSnapshot
}

// PartitionSnapshot is one input partition of a task.
type PartitionSnapshot struct {
	Topic           string
	Partition       int32
	Committed       int64 // offset of the next record that is not committed; -1 when nothing ever was
	End             int64 // the log's end when it was last seen; -1 before
	Lag             int64 // End - Committed; -1 when one of them is not known
	BufferedRecords int
	BufferedBytes   int64
	Paused          bool
}
