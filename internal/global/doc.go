// Package global fills global stores. Each process has one writer for each global store.
//
// The writer is a task ([task.Task]) that reads all partitions of the store's topic. The
// error policy, dead letters, timestamps and processors therefore work as in other tasks.
// Three things differ from the tasks of sub-topologies:
//
//   - There is no transaction. Every process reads the topic, so no group stores its
//     offsets. The positions are written to the store's database, in the batch that
//     writes the rows. After a crash at any point, rows and positions therefore fit
//     together.
//   - There is no changelog, because the store can be filled from the topic. If the disk
//     is lost, or no longer fits the topic, the topic is read again from its start,
//     through the task. A record that was skipped before is skipped again.
//   - Dead letters are sent before the positions behind their records are written. After
//     a crash in between, they are sent again.
//
// # Who reads while the writer writes
//
// A batch of records is applied to the database at once. The tasks of the process read
// the applied rows with [engine.Reader]s. A Reader takes no lock, and never sees a part
// of a batch. Each task keeps the rows that it has read, decoded, until the version of
// the store changes (store.Reader).
//
// # When a disk fits
//
// [Judge] compares the positions on a disk with the topic as it is now. The caller gets
// these facts from Kafka.
//
// The package has no goroutine, no clock, no socket and no Kafka client. The shells are
// internal/runtime, which reads the topic with internal/follow, and topologytest.
package global
