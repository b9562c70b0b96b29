// Package worker is the part of the runtime that moves records: a [Fetcher] that reads
// the input partitions of the process, and the [Worker]s that run its tasks.
//
// A worker is one goroutine. It owns tasks, one producer and one transaction at a time,
// which covers all its tasks. Nothing in a task is locked. To use a task, ask its worker.
//
// # The life of a task
//
// A [Task] is a task of this process, from its assignment until it is dropped. The host
// (package runtime) owns it while its state is restored; one worker owns it while it
// runs. If the outcome of a transaction is unknown, or the transaction was refused, the
// worker returns its tasks to the host, which restores them again. An abort stays inside
// the worker: the tasks are made again from their databases and read their input again.
//
// # When a worker commits
//
// A worker commits when CommitInterval has passed since the first uncommitted record,
// or when a task or the memory asks for it. A worker without further work commits
// earlier, because somebody may wait for what was processed. If nobody waits, it does
// not: if all records went to patient processors, such as those of package batch, an
// early commit would only cost ([task.Task.Awaited]).
//
// # Records that the broker refuses
//
// The first refusal aborts. In the replay the producer holds records back. The worker has
// it send them between two calls of the tasks, and at each commit. A record that is
// refused alone goes to its task ([task.Task.Refused]), which asks the error policy. If
// the policy says Fail, the worker aborts once more, repeats the records before the
// refused one, and commits them.
//
// # Input that has to be read again
//
// After an abort, input is fetched again from the committed offsets. The alternative is
// to keep the records until they are committed. It would hold every record in memory for
// one more commit interval, in all processes, for a rare case.
package worker
