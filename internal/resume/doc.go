// Package resume judges where a task begins to read its inputs, from facts about the
// group's offsets, the state in Kafka and the state on the disk. It has no Kafka client.
//
// # Absence
//
// Every task commits the offsets at which it starts before it processes a record, and a
// start record says so for good (package inputs). So if an input has a start record and
// no committed offset, the offset was lost: it expired, it was deleted, or the input's
// topic was deleted. An offset that a tool has set is the operator's choice, and is used
// as it is.
//
// # What is lost
//
// A lost offset matters only if the input's records have left something behind. They have
// if a changelog to which they lead holds a committed record. The changelogs of the
// task's own stores are asked in the task's partition. Records that a task sends to a
// repartition topic can reach all partitions of the stores behind it, so those are asked
// in all partitions, and so is the repartition topic. If nothing was left behind, the
// task begins where its source says.
//
// # The stop
//
// If the task was stopped after a commit and no task has started to read the input since,
// the stop record has the offset that was lost.
//
// # The disk
//
// The database of a task keeps offsets and changelog positions in the same batch as the
// state (engine.Progress). If no changelog holds a committed record at or beyond those
// positions, the state is that of exactly the records below those offsets, so the task
// goes on there.
package resume
