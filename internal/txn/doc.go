// Package txn runs the transactions of one worker by hand: one Kafka producer, the records of the worker's tasks, and
// the offsets of their inputs, committed together or not at all.
//
// The steps of a commit are Flush, TxnOffsetCommit with the identity of the group member, EndTransaction. Only after
// the last one has been confirmed may the caller apply what its tasks changed to their local stores. The local state may
// therefore be older than what Kafka has, never newer.
//
// kgo has no public call that adds offsets to a transaction, and its own offset ledger speaks for whoever the member has
// become. So the offset requests are sent raw, with an identity that the caller took when the partitions were assigned.
// All knowledge about those requests (their versions, their error codes, what each code means for the tasks) is in this
// package.
//
// # What the outcome of a commit means
//
// A nil error means committed. Every other end of a commit is an *Error with an Outcome:
//
//   - Aborted: nothing of the transaction will ever be visible. The tasks go back to their last committed state.
//   - Fenced: as Aborted, and this process no longer owns the partitions.
//   - Unknown: the transaction may be committed or not. The tasks are treated as crashed: state from the disk and the
//     changelog, offsets from the group.
//   - Fatal: as Aborted, and the producer is dead.
//   - Crashed: a test hook ended the commit. Nothing was cleaned up.
//
// After any of them Producer.Dead says whether the producer has to be replaced: close it, make a new one with the same
// transactional ID and call Init, which returns only when the broker has decided about everything that the old one left
// open.
//
// # Refused records
//
// A broker refuses a whole batch for one record in it, and kgo then fails every record
// that it holds for the partition, with the bare error code. Records that were produced
// meanwhile may already lie behind the refused ones. So the first refusal aborts, and
// makes the Caution of the worker distrust its topics. From then on Produce holds records
// back, and Settle sends them in groups that it waits for. Nothing lies behind a group,
// so a refused part of it can be sent again, in halves, within the same transaction,
// until a record is refused alone. The caller's Judge decides about that one. See sieve
// for the search.
//
// Batches keep to the size that the topic takes, before compression: what kgo counts. A
// record that fits only when it is compressed needs a producer that lets larger batches
// through, and then Settle bounds the groups in place of kgo. Such a topic is called
// wide.
//
// A Producer is used by one goroutine.
package txn
