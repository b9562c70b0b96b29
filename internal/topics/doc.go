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
// Changelogs of versioned stores have min.compaction.lag.ms, as in Kafka Streams. Brokers
// measure it against the records' own timestamps, so they may compact replayed records at
// once. Nothing but the history of a store may therefore rely on it: the newest version
// of a key is always the last record of the key.
package topics
