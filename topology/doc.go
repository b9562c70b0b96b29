// Package topology describes a stream processing application: the topics that it reads,
// the operators that handle their records, the state that it keeps, and the topics that
// it writes. The model is that of Kafka Streams.
//
//	b := topology.New()
//	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[Tweet]())
//	originals := tweets.Filter(func(t Tweet) bool { return t.Retweeted == nil })
//	originals.To("originals")
//	byAuthor := topology.GroupBy(originals, "by-author", Author, serde.String)
//	byAuthor.Count("tweets-by-author").Stream().To("counts")
//	t, err := b.Build()
//
// The result of Build runs in an application (package millrace) or in a test (package
// topologytest).
//
// # Handles
//
// [Stream], [Grouped], [Windowed], [Table], [WindowedTable] and [Global] are handles. A
// handle is a small value that names a place in the topology, with the types of the
// records there. An operator that keeps the types is a method. An operator that makes a
// new type is a function: [Map], [MapValues], [GroupBy], [Aggregate].
//
// Nothing runs before Build. Build reports all mistakes at once. A nil option has no
// effect.
//
// An operator does not change the handle on which it is called; it returns a new handle.
// Operators that are attached to the old handle see the records as they were before the
// operator. If nobody uses the result of an operator, the operator still calls its
// function and has no other effect.
//
// A handle carries the serdes of its keys and values. An operator asks for a serde only
// if it makes a new type. That serde may be nil if no value of the type is stored or
// sent.
//
// # Names
//
// An operator that keeps state or repartitions needs a name from the user. The name
// becomes the name of
//
//   - the store;
//   - the changelog topic, <app>-<name>-changelog;
//   - the repartition topic, <app>-<name>-repartition;
//   - the topics of a foreign-key join, <app>-<name>-...-topic.
//
// These names never contain a counter. An operator can therefore be inserted anywhere
// without renaming the state of another one. All other operators may be named ([Named]).
// If they are not, they get derived names, which appear only in descriptions, logs and
// errors.
//
// # Keys, tasks and repartitioning
//
// Connected operators form a sub-topology. A sub-topology runs as one task per partition
// of the topics that it reads: task 3 has partition 3 of each topic. A task has its own
// stores.
//
// Records with equal keys are handled by one task, because their producers put them into
// one partition. If an operator changes the key, the records must go through a topic of
// the application before they are grouped by the new key:
//
//   - [GroupBy] and [Repartition] always send them through a topic.
//   - [GroupByKey] does if [Map], [FlatMap], [SelectKey] or [Process] may have changed
//     the key since the last source or repartition.
//   - [Join] and [LeftJoin] do in the same case. The topic gets its name from the option
//     [Named]. So do [JoinWindow] and its kin, with one topic for each side.
//
// If a function on values has to see the key, use [MapValuesRecord] or
// [FlatMapValuesRecord]. A processor that only changes values is attached with
// [ProcessValues], or, to a table, with [ProcessTable]. All of them keep the key, so no
// repartitioning is needed.
//
// If records from several topics are grouped together or joined without a repartitioning,
// these topics must have the same number of partitions. The application checks this at
// start. If the topics are read by a [Process] that shares a store, only the processor
// knows whether their records have to meet. In that case different numbers only cause a
// warning in the log.
//
// # Absent keys and values
//
// A Kafka record may have no key, and it may have no value. Operators without state pass
// absence on. MapValues, FlatMapValues and their Record forms do not call the function
// for an absent value, and leave it absent. A predicate on values sees the zero value.
// With an Optional serde (serde.Nullable), functions are called for absent values too.
//
//	a repartitioning          a record without a key is dropped
//	GroupTable                a row whose group key is absent is in no group
//	SourceTable, ToTable      a record without a key is dropped; a record without a
//	                          value deletes the row
//	Count, Reduce, Aggregate  a record without a key or a value is dropped
//	Cogroup                   a record without a key or a value is dropped
//	the same over windows     a record without a key is dropped; Reduce also drops a
//	                          record without a value
//	the same over sliding     a record without a key or a value is dropped
//	windows
//	the same over sessions    as over windows
//	Join, LeftJoin            a record without a value is dropped; without a key, Join
//	                          drops it, and LeftJoin finds no row
//	JoinGlobal,               a record without a value is dropped; with an absent key of
//	LeftJoinGlobal            the row, JoinGlobal drops the record, and LeftJoinGlobal
//	                          finds no row
//	GlobalTable               as SourceTable
//	JoinWindow                a record without a key or a value is dropped
//	the same, left and outer  a record without a value is dropped; without a key, a left
//	                          record (Outer: any) has a result without a partner
//
// Dropped records are counted, by node and reason.
//
// # Order
//
// Formally: A task processes one record at a time. It processes the records of one
// partition in order of offset. Among several partitions it takes the one whose next
// record has the smallest timestamp. If a partition is empty but the broker has more
// records of it, the task waits for them. With Config.TaskIdle of package millrace, the
// task also waits for records that are yet to be produced.
//
// A record passes through the operators depth first. The children of an operator get a
// forwarded record in the order in which they were attached. Each child handles the
// record, and all that it forwards itself, before the next child gets the record.
//
// In plain words: Records with the same key from one topic are processed in the order in
// which they were produced. Results with the same key on one topic are in the order of
// the records that caused them.
//
// Not promised:
//
//   - an order between records of different partitions or tasks;
//   - an order between the updates of different rows of a table, except that updates that
//     were merged between two commits come in the order in which the rows first changed;
//   - an order across a repartition topic between records from different tasks.
//
// # Time
//
// Event time is the timestamp of a record: Kafka's, or the one that [TimestampFrom]
// returns.
//
//   - A forwarded record has the timestamp of the record that caused it.
//   - A row of a table has the largest timestamp of the records that made it. A deletion
//     forgets that timestamp.
//   - If a deletion is forwarded at once, it has the larger of two timestamps: that of
//     the row and that of the deleting record. If it was held back until the commit, it
//     has the timestamp of the deleting record.
//
// A windowed aggregation has its own stream time: the largest timestamp of the records
// that have reached it in this task, including the present one. It never goes back, and
// survives restarts, moves to another process and lost disks. If a tool sets the offsets
// without their metadata, stream time is what the rows of the store show.
//
// In a windowed [Cogroup], each input has its own stream time: see [WindowedCogroup].
//
// A window [start, end) takes records while end > stream time - grace. With hopping
// windows, a record may therefore be late for one window and in time for the next. It is
// counted as dropped once per window for which it is late. Sliding windows and sessions
// include their end: see [Sliding] and [Sessions].
//
// A windowed table sends its rows as they change. With [WindowedTable.Final], it sends a
// row once, when its window is closed. [Table.Suppress] does the same for a table that
// other operators have made from a windowed one. It can also hold updates back for a
// time.
//
// Stream time advances only with records. If a partition gets no records, its windows
// stay open. With [IdleAfter], the windows of an aggregation also close while its inputs
// are idle.
//
// # Tables
//
// A table comes from a topic ([SourceTable]), a stream ([Stream.ToTable]) or an
// aggregation. [Table.Filter] and [MapTable] make new tables from it, and [Table.Stream]
// returns its updates. If the new rows depend on more than the old ones, a processor with
// stores computes them: see [ProcessTable].
//
// A table with a store keeps its rows there. A table without a store only passes updates
// on.
//
//   - SourceTable, ToTable and aggregations have a store unless they have the option
//     [WithoutStore].
//   - Filter, MapTable, ProcessTable and joins of tables have none. [Table.Stored] adds
//     one.
//
// If a store is added to a program that has run before, it would start empty and get only
// new updates: a count of groups would miss all earlier rows. The application therefore
// refuses to start if it has processed records of a topic that feeds the store. To fill
// the store, give the application another ID, or delete its group and its internal
// topics. To accept the store without the earlier rows, name it in Config.StartEmpty. The
// same holds for a store that gets a further input, if the application has processed
// records of that input elsewhere.
//
// The timestamp of a row depends on the table:
//
//   - In an aggregation, the row has the largest timestamp of the records that made it.
//   - In SourceTable, ToTable and Stored, the row has the timestamp of its record.
//     Updates are applied in the order in which they arrive.
//
// With [Versioned], a table keeps the earlier versions of its rows for some time. Updates
// are then applied by their timestamps: an update that arrives late does not replace a
// newer row. [Join] finds the version that was valid at the timestamp of the record.
//
// With [TTL], a row expires when stream time reaches its timestamp plus a time to live.
// Its deletion is forwarded like any other.
//
// If a new version of the program has other values in a table, [Migrate] converts the
// rows that are there.
//
// [GroupTable] groups the rows by a key that is computed from the value, and aggregates
// the groups. If a row changes, its old value is subtracted from its old group and its
// new value is added to its new group. If these are two groups, they change one after the
// other, perhaps in different transactions. In between, the row may be in neither
// group.
//
// The functions of Filter and MapTable also see old rows, if an operator behind them
// needs the previous row. Their results must therefore depend on key and value only.
//
// If a store behind an aggregation may keep a value that the aggregation has forwarded,
// the aggregation no longer changes that value in place. A function or a processor must
// not keep such a value in a variable.
//
// # Joins
//
// [Join] and [LeftJoin] look up a row of a table for each record of a stream: the newest
// row, or, if the table is [Versioned], the row as of the record's timestamp. With
// [Grace], the record waits for late updates of the table first.
// [JoinWindow], [LeftJoinWindow] and [OuterJoinWindow] join the records of two streams
// that are close together in time. They keep the records in stores of their own.
// [JoinTables], [LeftJoinTables] and [OuterJoinTables] make a new table from two tables.
// A join reads the rows from the stores that exist already, and adds no store. If a table
// was made by Filter, MapTable or a join, its rows are computed again for each lookup.
//
// [JoinForeign] and [LeftJoinForeign] join the rows of two tables by a foreign key: each
// row of the left table contains a key of the right table. The tables may have different
// numbers of partitions. The join sends messages about the rows through two topics, and
// keeps a store of its own.
//
// In a join of two tables, an update of one table meets the row that the other table has
// forwarded last. Example: between two commits l1 becomes l2 and r1 becomes r2. The
// joined row becomes (l2, r1) and then (l2, r2). If the newest rows were used on both
// sides, a later group would subtract (l1, r2), a row that was never added to it.
//
// A processor reads the rows of a table like a join: give the table to [Process], and
// open it with state.OpenTable. It cannot write them.
//
// # Global tables
//
// [GlobalTable] reads a topic as a table that each process has whole. [JoinGlobal] and
// [LeftJoinGlobal] look up its rows by any key: the stream is not repartitioned, and its
// topics may have any number of partitions. [GlobalStore] puts a processor between the
// topic and the store. A process reads the topic to its end before it processes the first
// record of a stream. After that it applies new records as they come. The table is not
// synchronised with the streams: a join sees the newest row that its process has.
//
// # Updates of tables
//
// Several updates of one row between two commits are merged: at the commit, one update is
// forwarded. It has the timestamp of the row and the headers of the last record that
// changed the row. A row that is created and deleted between two commits is not forwarded
// at all.
//
// With [EveryUpdate], or Config.EveryUpdate for all tables, every update is forwarded at
// once.
//
// Do not count updates. Their number depends on the commits; only the last update of each
// row does not.
//
// # Functions
//
// An operator has up to three forms. They differ in what the function sees, and whether
// it may fail:
//
//	form              function                                   sees         may fail
//	MapValues         func(V) V2                                 the value    no
//	TryMapValues      func(V) (V2, error)                        the value    yes
//	MapValuesRecord   func(processor.Record[K, V]) (V2, error)   the record   yes
//
// These rules hold for all operators:
//
//   - The plain form is for the common case. Its function has the fewest parameters.
//   - A function that sees the record may always fail. There is no fourth form.
//   - If the function needs the whole record anyway, like that of [Map], [SelectKey] or
//     [Aggregate], there are only the plain form and the Try form.
//   - A function that only chooses a way for the record cannot fail: the predicates of
//     [Stream.Branch] and [Stream.BranchRecord], and the functions of [Stream.ToTopic]
//     and [Partitioner].
//   - If another operator can express the same, there is only the plain form:
//     [Stream.FilterNot] has no Try form, because [Stream.TryFilter] has one.
//   - An operator with two inputs, such as a join, has the plain form and the Try form.
//     Its function sees the two values. If it needs the key, the timestamp or the
//     headers, put them into the value with MapValuesRecord in front of it. The function
//     that chooses the key of a global row, or a foreign key, sees the value in the plain
//     form, and the record in the Try form.
//   - Any other difference is an option and never another form.
//
// # Errors
//
// If a user function returns an error or panics, the application's error policy gets the
// error with the name of the node and the position of the record (see
// processor.ErrorPolicy). A skip is local: operators beside the failing one are not
// affected, nor are records that were forwarded before.
//
// If a function of a derived table fails for a row (Filter, MapTable, GroupTable, joins
// of tables), and the policy skips the error, the row is absent in the result. If the
// result had a row before, it is deleted, and groups behind subtract it. The next update
// of the row is not affected. The policy may be asked about the row again, when an update
// replaces it, or when a join of tables looks it up for a row of the other table. Skip
// and DeadLetter then drop nothing: the error is logged and given to the hooks, and there
// is no dead letter and no dropped record. To keep the last good row instead, drop bad
// records in front of the table.
//
// # Bad input
//
// What becomes of bad input, and where it shows:
//
//	input                          what happens
//	no key, or no value            see "Absent keys and values"
//	a late record                  the windows that are closed do not get it
//	bytes that a serde cannot      an error of the phase decode
//	decode
//	a negative timestamp           an error of the phase decode, unless the source has
//	                               SkipInvalidTimestamps, PartitionTimeForInvalid or
//	                               TimestampFrom
//	a timestamp of the far future  stream time moves there: windows close, rows expire,
//	                               and usual records are late from then on;
//	                               TimestampFrom can drop such a record
//	a function fails or panics     an error of the phase process
//	the function of a migration    Run returns an error, whatever the error policy says
//	fails
//	a foreign key that its serde   an error of the phase process (encode), or of the
//	cannot encode or decode        phase decode in the task of the right table
//	a value or key that a sink     an error of the phase produce
//	cannot encode or partition
//	a full buffer of Suppress      rows are passed on early, or Run returns an error:
//	                               see Suppression.MaxRecords
//	a table whose topic is not     a warning in the log, and HookTableRetention, at each
//	compacted                      start; with SourceAsChangelog, an error at the start
//	joined topics with different   an error at the start: it names the topics and their
//	numbers of partitions          numbers of partitions
//
// Package millrace counts dropped records in Snapshot, and tells HookDropped about each,
// with the node and the reason. It tells HookError about each error, and HookBufferFull
// about rows that are passed on early.
//
// # Scenarios
//
// The directory testdata/scenarios shows each family of operators at work, as text:
// records in, results out, with late, absent and deleted data. The scenarios are tests.
// See topologytest.Script for their format.
package topology
