// Package topics creates and checks the internal topics of an application, deletes what
// they do not need any more, and describes the topics that the application reads and
// writes.
//
// A new topic gets every setting on which correctness depends, whatever the broker's
// defaults are: the table settings. A new kind of topic is one line of the table kinds;
// its settings follow from its cleanup policy.
//
// An internal topic that exists already is never changed: it holds state. It is compared
// with what the application needs. What does not fit is reported with what was found,
// what was expected and the command that puts it right.
//
// No kind may rely on min.compaction.lag.ms, as Kafka Streams' changelogs of versioned
// stores do. Brokers measure it against the records' own timestamps, so they would
// compact replayed records at once. A store that keeps several versions of a key needs a
// changelog whose keys tell the versions apart.
package topics
