package millrace

import (
	"time"

	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

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
	Committed       int64 // offset of the first record that is not committed; -1: nothing ever was
	End             int64 // the log's end when it was last seen; -1 before
	Lag             int64 // End - Committed; -1 when one of them is not known
	BufferedRecords int
	BufferedBytes   int64
	Paused          bool
}

// snapshotTimeout bounds how long Snapshot waits for workers, which answer between two
// batches of records.
const snapshotTimeout = 200 * time.Millisecond

// Snapshot returns what the application is doing, with its counters and lags. It may be
// called in any state, and waits for workers for 200 ms at most: the partitions of a task
// whose worker is in a long call of user code are left out, as are those of a task that
// restores.
func (a *App) Snapshot() Snapshot {
	s := Snapshot{State: a.State(), Generation: -1, Reach: a.reach()}
	run := a.started()
	if run == nil {
		return s
	}
	status := run.Status(snapshotTimeout)
	s.MemberID, s.Generation = status.MemberID, status.Generation
	s.Records, s.Commits, s.Aborts = status.Records, status.Commits, status.Aborts
	s.Dropped, s.Errors = status.Dropped, status.Errors
	s.BufferedBytes, s.StateBytes = status.BufferedBytes, status.StateBytes
	for _, t := range status.Tasks {
		s.Tasks = append(s.Tasks, TaskSnapshot{
			ID: t.ID, Worker: t.Worker, Restoring: t.Restoring, LastCommit: t.LastCommit, Partitions: partitionSnapshots(t.Inputs),
		})
	}
	return s
}

func partitionSnapshots(inputs []worker.InputStatus) []PartitionSnapshot {
	if inputs == nil {
		return nil
	}
	out := make([]PartitionSnapshot, len(inputs))
	for i, in := range inputs {
		lag := int64(-1)
		if in.End >= 0 && in.Committed >= 0 {
			lag = max(in.End-in.Committed, 0)
		}
		out[i] = PartitionSnapshot{
			Topic: in.Topic, Partition: in.Partition, Committed: in.Committed, End: in.End, Lag: lag,
			BufferedRecords: in.BufferedRecords, BufferedBytes: in.BufferedBytes, Paused: in.Paused,
		}
	}
	return out
}
