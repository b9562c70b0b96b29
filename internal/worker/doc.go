// Package worker is the part of the runtime that moves records: a [Fetcher] that reads the input partitions of the process, and the [Worker]s that run
// its tasks.
//
// A worker is one goroutine. It owns tasks, one producer and one transaction at a time, which covers all its tasks. Nothing in a task is locked: whoever
// wants something of a task asks its worker.
//
// # What a task goes through
//
// A [Task] is a task of this process from the assignment to the moment it is dropped. It is with the host (package millrace) while its state is being
// restored, and with one worker while it runs. After a transaction whose outcome is not known, or which was refused, the worker gives its tasks back to the
// host, which restores them again. An abort stays inside the worker: the tasks are made anew from their databases and read their input again.
//
// # Input that has to be read again
//
// After an abort, input is fetched again from the committed offsets. The alternative, keeping the records until they are committed, would hold every record for a
// commit interval longer, in all processes, for something that hardly ever happens.
package worker
