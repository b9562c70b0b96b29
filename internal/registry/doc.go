// Package registry records in Kafka what the state of an application means. A changed
// topology can then be refused even by a process with an empty state directory.
//
// # The records
//
// Package registrytopic describes the topic. This package has its records of stores and
// of repartition topics. The value of a store's record is JSON:
//
//	{"version":1, "application":"tweets", "store":"counts", "kind":"window", ...}
//
// A value with a larger version than the reader's is kept as a [Record] with Newer
// set; the reader then only knows that the store exists. A removed store keeps a record
// with Removed set. A state directory that still has the store therefore does not bring
// it back. The record of an empty store has Absent set while the application runs without
// the store.
//
// The record of a repartition topic has the formats of the records in it (key, value).
//
// A store that is restored from the topic of its table names this topic (from_topic), and
// no changelog. Its record has version 2, so an earlier version of the library refuses
// the store instead of starting with an empty one.
//
// If the values of a store had other formats before, the record has them by number, and
// the version 3. Versions of the library that know no formats then refuse the store. A
// record of a finished conversion ([Swept]) says that all rows of one partition have a
// format, or a later one. It is written without a transaction, because it depends on
// nothing that others write.
//
// If a source has a pattern and begins at the end of its topics, a record has the topics
// that matched when the application began to read by the pattern ([FirstTopics]). Other
// topics came later. The record is written before the first task of the source begins,
// and is not changed while the pattern stays the same.
//
// # Writing
//
// Writers use one transactional ID, <application>-stores-registry. A write has four
// steps:
//
//  1. Initialise the ID. This fences earlier writers.
//  2. Read the topic to its end.
//  3. Decide.
//  4. Write in one transaction.
//
// A write therefore never overwrites a record that its writer has not seen. A reader sees
// all records of a write or none.
//
// A process may write only after the group has given it a task. It then has the leader's
// topology, because a process with another topology cannot own a task. See package
// runtime. The exception is the record that no topic matches a pattern, because no
// process has a task then.
package registry
