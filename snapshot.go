package millrace

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/worker"
)

// snapshotTimeout bounds how long Snapshot waits for workers, which answer between two
// batches of records.
const snapshotTimeout = 200 * time.Millisecond

// Snapshot returns what the application is doing, with its counters and lags. It may be
// called in any state, and waits for workers for 200 ms at most: the partitions of a task
// whose worker is in a long call of user code are left out, as are those of a task that
// restores.
func (a *App) Snapshot() Snapshot {
	s := Snapshot{State: a.State(), Generation: -1, Reach: reachability(a.health.Report())}
	session := a.session.Load()
	if session == nil {
		return s
	}
	s.Records, s.Commits, s.Aborts = session.counters.records.Load(), session.counters.commits.Load(), session.counters.aborts.Load()
	s.Dropped, s.Errors = session.counters.dropped.Load(), session.counters.errors.Load()
	if session.fetcher != nil {
		s.BufferedBytes = session.fetcher.Buffered()
	}
	if session.shared != nil {
		s.StateBytes, _ = session.shared.Used()
	}
	s.MemberID = session.identity().MemberID
	ctx, cancel := context.WithTimeout(session.hard, snapshotTimeout)
	defer cancel()
	statuses := session.statuses(ctx)
	session.mu.Lock()
	defer session.mu.Unlock()
	s.Generation = session.generation
	for id, h := range session.tasks {
		t := TaskSnapshot{ID: session.taskID(id), Worker: h.index, Restoring: !h.running}
		for _, status := range statuses {
			if (assignment.TaskID{SubTopology: int32(status.ID.SubTopology), Partition: status.ID.Partition}) == id {
				t.LastCommit = status.LastCommit
				t.Partitions = partitionSnapshots(status)
			}
		}
		s.Tasks = append(s.Tasks, t)
	}
	slices.SortFunc(s.Tasks, func(a, b TaskSnapshot) int {
		return cmp.Or(cmp.Compare(a.ID.SubTopology, b.ID.SubTopology), cmp.Compare(a.ID.Partition, b.ID.Partition))
	})
	return s
}

func partitionSnapshots(status worker.Status) []PartitionSnapshot {
	out := make([]PartitionSnapshot, len(status.Inputs))
	for i, in := range status.Inputs {
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
