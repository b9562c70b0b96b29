// Package registry records in Kafka what the state of an application means, so that a
// process with an empty state directory is refused where one with a disk is.
//
// # The topic
//
// The registry is the compacted topic <application>-stores-registry with one partition.
// No other internal topic of any application can have its name: those end in -changelog
// or -repartition. For the same reason two applications never share a registry, as they
// may share a changelog.
//
// A record is keyed by "store/" and the name of a store. Its value is JSON:
//
//	{"version":1, "application":"tweets", "store":"counts", "kind":"window", ...}
//
// A reader ignores fields and keys that it does not know. Package inputs keeps its
// records in the same topic. A value with a larger version than the reader's is kept as a
// [Record] with Newer set: the reader knows only that the store exists. A store that was
// removed keeps a record with Removed set, so that a state directory that still has the
// store does not bring it back.
//
// # Writing
//
// Writers use one transactional ID, <application>-stores-registry. A writer first
// initialises the ID, which fences the writers before it, then reads the topic to its
// end, then decides, then writes in one transaction. So a write never overwrites what its
// writer has not seen, and a reader sees all records of a write or none.
//
// A process may write only after the group has given it a task: then its topology is the
// leader's, so a process with another topology cannot own a task. See package runtime.
package registry
