// Package millrace runs stream processing topologies on Apache Kafka.
//
// A program describes what to do with package topology, and runs it:
//
//	app, err := millrace.New(t, millrace.Config{ApplicationID: "tweets", Brokers: brokers, StateDir: dir})
//	if err != nil { ... }
//	err = app.Run(ctx) // blocks; cancelling ctx drains, commits and leaves the group
//
// Processes that run the same topology with the same application ID share the partitions
// of its input. When one ends, the others take its partitions over, and with them the
// state, which is kept in Kafka (changelog topics) and, to be back quickly, in StateDir.
//
// # Guarantees
//
// Exactly-once (the default): what the application writes to Kafka, its state and the
// offsets of its input move in one transaction. A consumer that reads with isolation
// level read_committed sees, for each input record, its results exactly once, whatever
// crashes: the process, the machine, or the broker as long as it keeps its log. State on
// disk is only written after Kafka has confirmed the transaction that it belongs to, so a
// crash leaves it old but never ahead and never torn, and it is caught up, not wiped.
//
// In plain words: kill -9 at any time loses nothing and doubles nothing in Kafka and in
// the stores. Do not assume that of anything else that a topology does: a function that
// calls another service calls it again when a transaction aborts.
//
// Order: records of one partition are processed in the order of their offsets. Among the
// partitions of one task the record with the smallest timestamp is next. Nothing is
// promised between tasks. Package topology says it in full.
//
// Time: the time of a record is its timestamp, never the clock. Windows close by stream
// time, which each windowed aggregation keeps for itself in each task: the largest
// timestamp that has reached it. It never goes back, and it survives restarts, rebalances
// and lost disks; it moves only with records. Do not assume that it is the same in two
// tasks, or that a window closes while nothing arrives. The wall clock of the process
// drives wall-clock punctuators, and the batches that are cut by arrival, and nothing
// else.
//
// # Starting over
//
// State that a changed topology, or changed topics, would make wrong or lose is refused
// at start, with an error that says what to do. Where it says to reset the application:
// stop all its processes, delete its internal topics (<ApplicationID>-...-changelog,
// <ApplicationID>-...-repartition and <ApplicationID>-stores-registry), the offsets of
// its group, which has the name of the application ID, and its state directories. It then
// begins as if it had never run. Another ApplicationID does the same, and leaves what
// there is.
//
// # Stores that change
//
// Run records in Kafka what the rows of each store mean: its kind, its windows, the
// formats of keys and values, its inputs. A topology that would misread the rows is
// refused, with and without a state directory. A store that holds nothing may change.
// Retention and grace may always change.
//
// A store that holds something and is gone from the topology is refused as well.
// Config.RemoveStores gives up its rows by name, and says what happens to its changelog
// and its disk. A renamed store is one store removed and one added.
//
// # Lost offsets
//
// Kafka forgets the offsets of a group that has been idle for seven days
// (offsets.retention.minutes), and those of a topic that is deleted. The state stays. If
// the tasks were stopped in order, or if a disk has their complete state, they go on
// exactly where they were. If not, Run returns an error after Config.SessionTimeout, by
// which time every process with a disk has joined. Nothing is counted twice in silence.
// docs/lost-offsets.md lists the cases and the choices: Config.LostOffsets,
// Config.RecreatedInputs for a topic that was created again, the missing disk, a reset,
// or offsets that Kafka's own tool has set.
//
// # Probes and outages
//
// App.Live and App.Ready are the answers to a liveness and a readiness probe, each with
// its reason. Live is false only after Run has returned an error. A restore, a rebalance
// or an outage of the brokers does not make it false, because a new start would help none
// of them. Ready is true while all tasks of the process run and the cluster and the group
// are within reach.
//
// Run asks each broker for a sign of life every second. If the cluster, or the
// coordinator of the group, does not answer for three to five seconds, State is
// Unreachable, Snapshot.Reach and HookReachability say since when and why, and a line is
// logged. Tasks wait, and go on when the brokers answer. Queries are answered as long as
// the process holds the partition; Ages says how old the rows are.
//
// When Run's context ends, Run returns within Config.CloseTimeout, whatever is stuck.
//
// # Internal topics
//
// Run makes and checks the changelogs and repartition topics. docs/internal-topics.md
// lists their settings, why each matters, and what Run says of a topic that has others.
//
// # Memory
//
// Config.StateMemory bounds what stores hold in memory, Config.BufferMemory the records
// that were fetched and not processed yet.
package millrace
