// Package txn runs the transactions of one worker step by step. A worker has one Kafka
// producer. The records of its tasks and the offsets of their inputs are committed
// together or not at all.
//
// A commit has three steps: Flush, TxnOffsetCommit with the identity of the group member,
// EndTransaction. Only after the last step has been confirmed may the caller apply the
// changes of its tasks to their local stores. The local state may therefore be older than
// the state in Kafka, but never newer.
//
// kgo has no public call that adds offsets to a transaction. Its own offset commits use
// the member's current identity, which may be that of a new incarnation. The offset
// requests are therefore sent raw, with an identity that the caller took when the
// partitions were assigned. All knowledge about these requests is in this package: their
// versions, their error codes, and what each code means for the tasks.
//
// # What the outcome of a commit means
//
// A nil error means committed. Every other result of a commit is an *Error with an
// Outcome:
//
//   - Aborted: nothing of the transaction will ever be visible. The tasks go back to
//     their last committed state.
//   - Fenced: like Aborted, and this process no longer owns the partitions.
//   - Unknown: the transaction may be committed or not. The tasks are treated as crashed:
//     their state is read from the disk and the changelog, their offsets from the group.
//   - Fatal: like Aborted, and the producer is dead.
//   - Crashed: a test hook ended the commit. Nothing was cleaned up.
//
// After any of them, Producer.Dead reports whether the producer must be replaced: close
// it, make a new one with the same transactional ID, and call Init. Init returns only
// when the broker has decided all transactions that the old producer left open.
//
// # Refused records
//
// If a broker refuses one record, it refuses the whole batch. kgo then fails every record
// that it holds for the partition, with the bare error code. Records that were produced
// meanwhile may already be in the log after the refused ones. The first refusal therefore
// aborts, and makes the Caution of the worker distrust its topics.
//
// From then on, Produce holds records back, and Settle sends them in groups that it waits
// for. Nothing is in the log after a group. A refused part of it can therefore be sent
// again, in halves, within the same transaction, until a single record is refused. The
// caller's Judge decides about this record. See sieve for the search.
//
// kgo limits batches to the size that the topic accepts, counted before compression. If a
// record fits only when it is compressed, it needs a producer that lets larger batches
// through. Settle then limits the groups instead of kgo. Such a topic is called wide.
//
// A Producer is used by one goroutine.
package txn
