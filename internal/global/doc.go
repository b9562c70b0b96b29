// Package global fills a global store: it has the one writer of the store in a process.
//
// The writer is a task ([task.Task]) that reads all partitions of the store's topic. So a
// global store has the error policy, the dead letters, the timestamps and the processors
// that other stores have. Three things differ from the tasks of sub-topologies:
//
//   - There is no transaction. Every process reads the topic, so no group stores its
//     offsets. The positions are written to the store's database, in the batch that
//     writes the rows. After a crash at any point, both fit together.
//   - There is no changelog, because the topic is one. If the disk is lost, or does not
//     fit the topic any more, the topic is read again from its start, through the task.
//     So a record that was skipped once is skipped again.
//   - Dead letters are sent before the positions behind their records are written. After
//     a crash in between, they are sent again.
//
// # Who reads while the writer writes
//
// A batch of records is applied to the database at once. The tasks of the process read
// the applied rows with [engine.Reader]s: no lock, and no view of a part of a batch. Each
// task keeps the rows that it has read decoded until the version of the store changes
// (store.Reader).
//
// # When a disk fits
//
// [Judge] compares the positions on a disk with the topic as it is now. It knows no Kafka
// client: the caller asks for the facts.
//
// The package has no goroutine, no clock, no socket and no Kafka client. The shells are
// internal/runtime, which reads the topic with internal/follow, and topologytest.
package global
