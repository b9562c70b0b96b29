// Package worker is the part of the runtime that moves records: a [Fetcher] that reads
// the input partitions of the process, and the [Worker]s that run its tasks.
//
// A worker is one goroutine. It owns tasks, one producer and one transaction at a time,
// which covers all its tasks. Nothing in a task is locked: whoever wants something of a
// task asks its worker.
//
// # What a task goes through
//
// A [Task] is a task of this process from the assignment to the moment it is dropped. It
// is with the host (package runtime) while its state is being restored, and with one
// worker while it runs. After a transaction whose outcome is not known, or which was
// refused, the worker gives its tasks back to the host, which restores them again. An
// abort stays inside the worker: the tasks are made anew from their databases and read
// their input again.
//
// # Records that the broker refuses
//
// The first refusal aborts. In the replay the producer holds records back; the worker has
// it send them between two calls of the tasks, and at each commit. A record that is
// refused alone goes to its task ([task.Task.Refused]), which asks the error policy.
// Under Fail the worker aborts once more, repeats what came before the record, and
// commits that.
//
// # Input that has to be read again
//
// After an abort, input is fetched again from the committed offsets. The alternative,
// keeping the records until they are committed, would hold every record for a commit
// interval longer, in all processes, for something that hardly ever happens.
package worker
