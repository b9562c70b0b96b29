// Package registry records in Kafka what the state of an application means. A changed
// topology can then be refused even by a process with an empty state directory.
//
// # The topic
//
// The registry is the compacted topic <application>-stores-registry. It has one
// partition. No other internal topic of any application can have its name, because those
// end in -changelog or -repartition. For the same reason, two applications never share a
// registry, although they may share a changelog.
//
// The key of a record is "store/" and the name of a store. The value is JSON:
//
//	{"version":1, "application":"tweets", "store":"counts", "kind":"window", ...}
//
// A reader ignores unknown fields and keys. Package inputs keeps its records in the same
// topic. A value with a larger version than the reader's is kept as a [Record] with Newer
// set; the reader then only knows that the store exists. A removed store keeps a record
// with Removed set. A state directory that still has the store therefore does not bring
// it back.
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
// runtime.
package registry
