package millrace

import (
	"time"

	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

// Snapshot shows what an App was doing at one moment. Counters start at New.
type Snapshot struct {
	State      State
	MemberID   string // the ID in the group; empty before the first join
	Generation int32  // the generation of the group's assignment; -1 before the first

	Records int64 // input records processed, including those of aborted transactions
	Commits int64
	Aborts  int64
	Dropped int64
	Errors  int64 // errors that the error policy was given

	BufferedBytes int64 // of fetched records; see Config.BufferMemory
	StateBytes    int64 // memory that stores hold

	Reach Reachability // whether the cluster and the group are within reach

	Tasks []TaskSnapshot // sorted by sub-topology and partition

	Globals []GlobalSnapshot // in the order of the topology
}

// GlobalSnapshot is one global store of a Snapshot.
type GlobalSnapshot struct {
	Store, Topic string
	// Restoring is set until the store has all records that its topic had at the start.
	// Until then the process has no tasks.
	Restoring bool
	// Partitions are those of the topic. Committed is the first offset that was not
	// applied, and Lag how many offsets the store is behind. The buffers are not shown.
	Partitions []PartitionSnapshot
}

// TaskSnapshot is one task of a Snapshot.
type TaskSnapshot struct {
	ID         processor.Task
	Worker     int
	Restoring  bool
	LastCommit time.Time // zero before the first commit
	Partitions []PartitionSnapshot
}

// PartitionSnapshot is one input partition of a task.
type PartitionSnapshot struct {
	Topic           string
	Partition       int32
	Committed       int64 // the first uncommitted offset; -1 before the first commit
	End             int64 // the last known end of the log; -1 if unknown
	Lag             int64 // End - Committed; -1 if one of them is -1
	BufferedRecords int
	BufferedBytes   int64
	Paused          bool
}

// snapshotTimeout bounds how long Snapshot waits for workers. A worker answers between
// two batches of records.
const snapshotTimeout = 200 * time.Millisecond

// Snapshot returns what the application is doing, with counters and lags. It may be
// called in any state. It waits for workers for 200 ms at most. Partitions of a task are
// omitted if the task restores, or if its worker is in a long call of user code.
func (a *App) Snapshot() Snapshot {
	s := Snapshot{State: a.State(), Generation: -1, Reach: a.reach(), Globals: a.globals()}
	if run := a.run.Load(); run != nil {
		counts := run.Counts()
		s.Records, s.Commits, s.Aborts, s.Dropped, s.Errors = counts.Records, counts.Commits, counts.Aborts, counts.Dropped, counts.Errors
	}
	run := a.started()
	if run == nil {
		return s
	}
	status := run.Status(snapshotTimeout)
	s.MemberID, s.Generation = status.MemberID, status.Generation
	s.BufferedBytes, s.StateBytes = status.BufferedBytes, status.StateBytes
	for _, t := range status.Tasks {
		s.Tasks = append(s.Tasks, TaskSnapshot{
			ID: t.ID, Worker: t.Worker, Restoring: t.Restoring, LastCommit: t.LastCommit, Partitions: partitionSnapshots(t.Inputs),
		})
	}
	return s
}

// globals returns what the global stores are doing. Before Run there are none.
func (a *App) globals() (all []GlobalSnapshot) {
	run := a.run.Load()
	if run == nil {
		return nil
	}
	for _, g := range run.Globals() {
		shown := GlobalSnapshot{Store: g.Store, Topic: g.Topic, Restoring: g.Reading}
		for _, p := range g.Partitions {
			shown.Partitions = append(shown.Partitions, PartitionSnapshot{
				Topic: g.Topic, Partition: p.Partition, Committed: p.Position, End: p.End, Lag: max(p.End-p.Position, 0),
			})
		}
		all = append(all, shown)
	}
	return all
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
