// Package guard refuses a topology that would lose or misread the existing state of an
// application, and records what the state means.
//
// # What counts
//
// Two sources say what the state means: the registry in Kafka and, for state from before
// there was a registry, the state directory. If the registry has a record of a store,
// that record decides. A store counts only if it holds something:
//
//   - A store with a changelog holds something if the changelog has a committed record. A
//     high watermark is not enough, because an aborted transaction moves it too.
//   - A store without a changelog holds something if a database on this disk has a row of
//     it.
//
// # New stores
//
// A store that the application never had is refused if it would lack records: if the
// application has already processed records of a topic that feeds the store, at any
// distance (graph.Graph.Feeding). Config.StartEmpty accepts such stores by name. These
// facts decide:
//
//   - A store is new if the registry has no record of it, or one that says that the store
//     was removed, or that the application has run without it. The state directory counts
//     only if the registry is younger than the directory's last run.
//   - A changelog with a committed record belongs to a store that is not new.
//   - A record of an input was processed if the committed offset has the metadata of a
//     commit after one. An application without stores has no registry, and is recognised
//     too. If a tool has removed the metadata, or the offset was lost, the start and stop
//     records decide (inputs.Processed).
//   - A new input has no offset. Its store gets all its records and is not refused.
//
// Whether a processor's store needs the earlier records cannot be seen. It is refused
// like any other. Three kinds of stores are never refused:
//
//   - a store that is neither logged nor on disk, because it is empty after each start;
//   - a store that is restored from the topic of its table (graph.Store.FromTopic),
//     because the records that were processed before are in the topic;
//   - a store of records that wait to be sent on (graph.Store.Waiting), because records
//     that were sent on before it was added did not wait.
//
// # Stores that gain an input
//
// A store that the application has may get another input: a topic is merged into the
// stream that it aggregates, or a processor of another topic is given the store. If the
// application has processed records of that topic before, elsewhere in the topology, the
// store lacks them. It is refused like a new store. These rules avoid false refusals:
//
//   - The registry records the topics that feed each store (registry.Record.Fed). Records
//     of earlier versions of the library do not have them: such a store is recorded, and
//     not refused.
//   - A topic that the topology no longer reads stays recorded, because its records are
//     not processed meanwhile. If it comes back, its committed offset continues. A
//     release that adds an input can therefore be rolled back and rolled out again.
//   - If an earlier version reads the topic elsewhere, the topic is no longer recorded as
//     one that feeds the store.
//   - A topic that matches a recorded pattern has fed the store since it was found.
//   - Nodes that only look rows up do not count, as for new stores.
//
// # Records that wait in repartition topics
//
// The registry records the format of the records of each repartition topic. If the
// topology has another one, and the topic has a committed record behind the committed
// offset, the topology is refused: it would read the bytes of one format as those of
// another. Records of earlier versions of the library have no format, and are not
// compared. A topic whose records are all processed may change its format.
//
// # The first topics of a pattern
//
// If a source has a pattern and begins at the end of its topics, Enrol records which
// topics that are: those that matched when the process was started. The first process
// that enrols decides for all others. Topics that appear later, partitions that are added
// later, and topics that are created again are read from their beginning, whichever
// process finds them.
//
//   - While no topic matches at all, no process has a task. Each process that waits then
//     records that there are no first topics ([Guard.NothingMatches]).
//   - If the pattern changes, the topics that only the new pattern matches are added.
//     The application begins to read them now.
//   - If there is no record, but the group has offsets of topics of the source, an
//     earlier version of the library has committed them. The first topics are then those
//     with an offset.
//   - The record stays when offsets expire. Topics that came later are then read from
//     their beginning again.
//
// # Order of the reads
//
// Committed offsets are read before the registry. Two processes may start the application
// for the first time at once: if one of them has processed a record that the other one
// sees, it has recorded the stores before.
//
// # Two steps
//
// [Guard.Check] compares before the process joins the group. It writes nothing.
// [Guard.Enrol] compares again and writes, after the group has given the process a task.
// The group's leader then has the same topology. During a rolling upgrade the leader may
// still have the old topology. A new process then has no tasks, and does not change the
// registry for the old ones.
//
// # Versions that come and go
//
//   - Store added, rolled back: while the store is empty, the old version starts. It
//     records that the application runs without the store. Once the store holds
//     something, the old version is refused until the store is removed by name. The
//     removal is recorded, so later starts need not name the store.
//   - Rolled forward again: the store is new.
//   - Store renamed: one store is removed, and one is new.
//   - Store removed, rolled back: the store is new.
//   - Values migrated, rolled back: refused from the moment at which the new version was
//     given its first task. A row in the new format cannot exist before. While the store
//     is empty, the old version starts, and takes the formats out of the record.
//   - Values migrated, and the migration removed: refused, unless the topology says so
//     (topology.Migrated), and the registry says that all partitions are converted.
package guard
