// Package inputs collects the facts that package resume judges: the position of the group
// in its input partitions, which of these were ever started, and whether changelogs hold
// committed records.
//
// # Start records
//
// A start record says that a task has committed the offset at which it starts to read an
// input partition. It is written after that commit and before the task processes a
// record. If an input has a start record and no committed offset, the offset was
// therefore lost. Start records do not expire. They are in the application's registry
// (see package registrytopic), under the key
//
//	start/<topic>/<partition>
//
// The value is JSON: {"version":1, "topic_id":"<base64url>", "run":"<text>"}. The ID is
// that of the topic to which the committed offset belongs. The run distinguishes the
// starts of a partition: each assignment of the task has another one.
//
// Only the process that has the task writes the record, and a repeated write has the same
// content. No transaction is needed.
//
// A task whose records reach no store has no start records, so that an application
// without state has no registry. The metadata of its offsets show the topic to which they
// belong (task.Mark).
//
// # Stop records
//
// A stop record says that a task was stopped right after a commit, and where. Its key is
//
//	stop/<topic>/<partition>
//
// Its value is that of the start record that the stop has ended, with the committed
// "offset" and "metadata". It counts only while the partition's start record has the same
// run. The next start therefore ends it. If a process writes its stop too late, after
// another process has started the task, the record does not count.
//
// # Disk records
//
// A task may be given to a process that does not have its state on disk. Before a process
// joins the group, it therefore publishes the progress of its databases whose tasks have
// lost an offset, under the key
//
//	disk/<process ID>/<first input topic of the task>/<partition>
//
// The value is JSON, an engine.Progress. The process that gets the task checks the
// positions against the changelogs, as it does for its own disk. An old record is
// therefore harmless. The publishing process deletes the record at its next start at
// which the task has its offsets.
package inputs
