// Package topics manages the internal topics of an application. It creates and checks
// them, deletes records that are no longer needed, and describes the topics that the
// application reads and writes.
//
// A new topic gets every setting on which correctness depends, whatever the broker's
// defaults are: see the table settings. A new kind of topic is one line of the table
// kinds; its settings follow from its cleanup policy.
//
// An existing internal topic is never changed, because it holds state. It is compared
// with what the application needs. A difference is reported with the found setting, the
// expected one and the command that fixes it.
//
// No kind may rely on min.compaction.lag.ms, as Kafka Streams' changelogs of versioned
// stores do. Brokers measure it against the records' own timestamps, so they would
// compact replayed records at once. A store that keeps several versions of a key needs a
// changelog whose keys contain the version.
package topics
