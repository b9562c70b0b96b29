// Package millrace runs stream processing topologies on Apache Kafka.
//
// A program describes a topology with package topology, and runs it:
//
//	cfg := millrace.Config{ApplicationID: "tweets", Brokers: brokers, StateDir: dir}
//	app, err := millrace.New(t, cfg)
//	if err != nil { ... }
//	err = app.Run(ctx) // blocks; cancelling ctx drains, commits and leaves the group
//
// Processes that run the same topology with the same application ID share the partitions
// of its input. If one ends, the others take over its partitions and its state. The state
// is kept in Kafka (changelog topics) and, for a quick restart, in StateDir.
//
// # Guarantees
//
// Exactly-once (the default): results, state and the offsets of the input move in one
// Kafka transaction. A consumer with isolation level read_committed sees the results of
// each input record exactly once. This holds for a crash of the process, of the machine,
// and of a broker as long as the broker keeps its log. State is written to disk only
// after Kafka has confirmed its transaction. After a crash the state on disk may
// therefore be old, but it is never ahead and never torn. It is caught up, not wiped.
//
// In plain words: a kill -9 at any time loses nothing and doubles nothing in Kafka and in
// the stores. This does not hold for other effects of a topology. If a transaction
// aborts, a function that calls another service is called again.
//
// Order: the records of one partition are processed in the order of their offsets. Among
// the partitions of one task, the record with the smallest timestamp is next. There is no
// order between tasks. Package topology has the details.
//
// Time: the time of a record is its timestamp, never the clock. Windows close by stream
// time: the largest timestamp that has reached the windowed aggregation in its task.
//
//   - Each windowed aggregation has its own stream time in each task. Do not assume that
//     it is the same in two tasks.
//   - It never goes back, and survives restarts, rebalances and lost disks.
//   - It advances only with records. Do not assume that a window closes while nothing
//     arrives.
//
// The wall clock of the process drives only wall-clock punctuators, and batches that are
// cut by arrival.
//
// # Starting over
//
// If a changed topology or changed topics would lose or falsify state, Run refuses to
// start, with an error that says what to do. To reset an application where the error says
// so:
//
//  1. Stop all its processes.
//  2. Delete its internal topics: <ApplicationID>-...-changelog,
//     <ApplicationID>-...-repartition, <ApplicationID>-...-topic (of foreign-key joins)
//     and <ApplicationID>-stores-registry.
//  3. Delete the offsets of its group, whose name is the application ID.
//  4. Delete its state directories.
//
// The application then starts as if it had never run. Another ApplicationID has the same
// effect, and keeps everything that exists.
//
// # Stores that change
//
// Run records in Kafka what the rows of each store mean: the kind of the store, its
// windows, the formats of keys and values, and its inputs. If a topology would misread
// the rows, it is refused, with and without a state directory. An empty store may change.
// Retention and grace may always change.
//
// If the values of a store have a new type or another serde, topology.Migrate and
// state.Migrate convert the rows. From the start of the new version on, the version
// before is refused.
//
// A topology that no longer has a store is refused if the store holds rows.
// Config.RemoveStores gives up such rows by name; its documentation says what happens to
// the changelog and the disk. Renaming a store means removing one store and adding
// another.
//
// A topology with a new store is refused if the application has already processed records
// that belong into the store. Config.StartEmpty accepts the store without them, by name.
//
// # Lost offsets
//
// Kafka deletes the offsets of a group that has been idle for seven days
// (offsets.retention.minutes), and the offsets of a deleted topic. The state remains. If
// the tasks were stopped in order, or if a disk has their complete state, they continue
// exactly where they were. Otherwise Run returns an error after Config.SessionTimeout, by
// which time every process with a disk has joined. Nothing is counted twice in silence.
// docs/lost-offsets.md lists the cases and the choices: Config.LostOffsets,
// Config.RecreatedInputs for a topic that was created again, the missing disk, a reset,
// or offsets that were set with Kafka's own tool.
//
// # Probes and outages
//
// App.Live and App.Ready answer a liveness and a readiness probe, each with a reason.
// Live is false only after Run has returned an error. A restore, a rebalance or an outage
// of the brokers does not make it false, because a restart of the process would not help.
// Ready is true while all tasks of the process run and the cluster and the group are
// within reach.
//
// Run asks each broker for a sign of life every second. If the cluster, or the
// coordinator of the group, does not answer for three to five seconds, State is
// Unreachable, Snapshot.Reach and HookReachability say since when and why, and a line is
// logged. Tasks wait until the brokers answer, and then continue. Queries are answered as
// long as the process holds the partition; Ages says how old the rows are.
//
// When Run's context ends, Run returns within Config.CloseTimeout, even if something is
// stuck.
//
// # Internal topics
//
// Run creates and checks the changelogs and repartition topics. docs/internal-topics.md
// lists their settings, why each matters, and what Run reports about a topic with other
// settings.
//
// # Memory
//
// Config.StateMemory bounds the memory of stores. Config.BufferMemory bounds the records
// that were fetched and not yet processed.
package millrace
