// Package resume judges where a task starts to read its inputs. The facts are the group's
// offsets, the state in Kafka and the state on the disk. It has no Kafka client.
//
// # Absence
//
// Before a task processes a record, it commits the offsets at which it starts, and writes
// start records that do not expire (package inputs). If an input has a start record and
// no committed offset, the offset was therefore lost: it expired, it was deleted, or the
// input's topic was deleted. An offset that a tool has set is the operator's choice, and
// is used unchanged.
//
// An offset may also belong to a former topic with the name of the input, because the
// broker kept it, or because a task has committed it after the topic was created again.
// Both the start record and the metadata of the offset name the topic. If one of them
// names another topic than the present one, the offset is not used.
//
// # What is lost
//
// A lost offset matters only if the input's records have left a trace. They have if a
// changelog behind the input holds a committed record.
//
//   - The changelogs of the task's own stores are checked in the task's partition.
//   - Records that a task sends to a repartition topic can reach all partitions of the
//     stores behind it. These stores, and the repartition topic, are therefore checked in
//     all partitions.
//
// If there is no trace, the task starts where its source says.
//
// # The stop
//
// If the task was stopped after a commit, and no task has started to read the input
// since, the stop record has the lost offset.
//
// # The disk
//
// The database of a task keeps offsets and changelog positions in the same batch as the
// state (engine.Progress). If no changelog holds a committed record at or beyond these
// positions, the state is that of exactly the records below these offsets. The task then
// continues there.
package resume
