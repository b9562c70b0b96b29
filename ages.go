package millrace

import (
	"context"
	"time"
)

// Age says how old the rows of one partition of a table are.
type Age struct {
	Partition int32
	// Commit is when the worker of the partition's task has committed last, or, if it was
	// restored later, when the task was restored.
	Commit time.Time
	// Contact is when the cluster and the group have answered last. While they are within
	// reach, that is a second or two ago, and the rows lack only the records that the
	// task has not processed yet (PartitionSnapshot.Lag). During an outage it stands
	// still: from Config.SessionTimeout after it on, another process may have the
	// partition, and newer rows.
	Contact time.Time
}

// Ages says how old the rows are with which queries of a table are answered at this
// moment, for each partition that this process holds and has restored, by partition. It
// does not block. The error is that of [Get] for a table that cannot be asked.
func Ages[K, V any](app *App, table Queryable[K, V]) ([]Age, error) {
	q, err := ask(context.Background(), app, table)
	if err != nil {
		return nil, err
	}
	contact := app.reach().Contact
	var ages []Age
	for _, partition := range q.run.Running(q.sub.ID) {
		if at := q.run.CommittedAt(q.sub.ID, partition); !at.IsZero() {
			ages = append(ages, Age{Partition: partition, Commit: at, Contact: contact})
		}
	}
	return ages, nil
}
