// Package inputs asks Kafka what package resume judges: where the group stands in its
// input partitions, which of them were ever started, and whether changelogs hold
// committed records.
//
// # Start records
//
// A start record says that a task has committed the offset at which it starts to read an
// input partition. It is written after that commit and before the task processes a
// record, so an input with a start record and without a committed offset has lost it.
// Start records do not expire. They lie in the application's registry, a compacted topic,
// under the key
//
//	start/<topic>/<partition>
//
// and are JSON: {"version":1, "topic_id":"<base64url>", "run":"<text>"}. The ID is that
// of the topic to which the committed offset belongs. The run tells the starts of a
// partition apart: each assignment of the task has another. A reader ignores fields and
// keys that it does not know.
//
// Only the process that has the task writes the record, and it writes the same whenever
// it repeats itself, so no transaction is needed.
//
// # Stop records
//
// A stop record says that a task was stopped right after a commit, and where. Its key is
//
//	stop/<topic>/<partition>
//
// and its value is that of the start record that the stop has ended, with "offset" and
// "metadata" as they were committed. It counts only while the partition's start record
// has the same run. So the next start ends it, and a process that writes its stop too
// late, when another process has the task, writes one that does not count.
//
// # Disk records
//
// A task may be given to a process that does not have its state on disk. So before a
// process joins the group, it publishes how far its databases are whose tasks have lost
// an offset, under the key
//
//	disk/<process ID>/<first input topic of the task>/<partition>
//
// as JSON, an engine.Progress. Whoever gets the task checks the positions against the
// changelogs, as it does for its own disk, so an old record does no harm. The process
// deletes the record at its next start at which the task has its offsets.
package inputs
