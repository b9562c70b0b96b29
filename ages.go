package millrace

import (
	"context"
	"errors"
	"time"
)

// Age says how old the rows of one partition of a table are.
type Age struct {
	Partition int32
	// Commit is the time of the last commit by the worker of the partition's task. If the
	// task was restored later than that, it is the time of the restore.
	Commit time.Time
	// Contact is the time of the last answer from the cluster and the group. While both
	// are within reach, Contact is one or two seconds ago, and the rows lack only the
	// records that the task has not processed yet (PartitionSnapshot.Lag). During an
	// outage Contact stands still. Once Config.SessionTimeout has passed since Contact,
	// another process may have the partition, and newer rows.
	Contact time.Time
}

// Ages says how old the rows are that a query of the table would return now. It has one
// Age for each partition that this process holds and has restored, sorted by partition.
// It does not block. The error for a table that cannot be queried is that of [Get]. A
// global store has no Ages: see [GlobalSnapshot].
func Ages[K, V any](app *App, table Queryable[K, V]) ([]Age, error) {
	q, err := ask(context.Background(), app, table)
	if err != nil {
		return nil, err
	}
	contact := app.reach().Contact
	if q.sub == nil {
		return nil, q.wrap(errors.New("a global store has no commits: see Snapshot.Globals for how far it is behind its topic"))
	}
	var ages []Age
	for _, partition := range q.run.Running(q.sub.ID) {
		if at := q.run.CommittedAt(q.sub.ID, partition); !at.IsZero() {
			ages = append(ages, Age{Partition: partition, Commit: at, Contact: contact})
		}
	}
	return ages, nil
}
