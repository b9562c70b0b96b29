// Package topology describes what a stream processing application does: which topics it
// reads, what it does with their records, what it keeps, and which topics it writes. The
// model is that of Kafka Streams.
//
//	b := topology.New()
//	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[Tweet]())
//	originals := tweets.Filter(func(t Tweet) bool { return t.Retweeted == nil })
//	originals.To("originals")
//	topology.GroupBy(originals, "by-author", Author, serde.String).Count("tweets-by-author").Stream().To("counts")
//	t, err := b.Build()
//
// The result of Build runs in an application (package millrace) or in a test (package
// topologytest).
//
// # Handles
//
// [Stream], [Grouped], [Windowed], [Table] and [WindowedTable] are handles: small values
// that name a place in the topology, with the types of what passes there. Operators that
// keep the types are methods, those that make a new type are functions: [Map],
// [MapValues], [GroupBy], [Aggregate]. Nothing runs before Build, and Build reports
// everything that is wrong at once. An option that is nil changes nothing.
//
// An operator changes nothing about the handle that it is called on: it returns another
// one. What is attached to the old handle gets what went in, and an operator whose result
// nobody uses has no effect beyond the calls of its function.
//
// A handle carries the serdes of its keys and values, and an operator asks for a serde
// only where it makes a new type. That serde may be nil if nothing of the type is stored
// or sent.
//
// # Names
//
// An operator that keeps state or repartitions has a name that the user gives: it names
// the store, the changelog topic <app>-<name>-changelog and the repartition topic
// <app>-<name>-repartition. These names never contain a number that was counted, so that
// an operator may be inserted anywhere without renaming what another one keeps. All other
// operators may be named ([Named]); their derived names appear only in descriptions, logs
// and errors.
//
// # Keys, tasks and repartitioning
//
// Connected operators form a sub-topology, and a sub-topology runs as one task for each
// partition of the topics that it reads: task 3 has partition 3 of each. A task has its
// own stores. Records with equal keys meet in one task because their producers put them
// into one partition. Where the key changes, the records go through a topic of the
// application first, so that they meet again: [GroupBy] and [Repartition] always do this,
// [GroupByKey] does where the key may have changed since the last source or repartition,
// by [Map], [FlatMap], [SelectKey] or [Process]. A function for values that has to see
// the key goes into [MapValuesRecord] or [FlatMapValuesRecord], which leave it as it is.
// [Join] and [LeftJoin] do it there too, with the name of the option [Named].
//
// Topics from which records are grouped together or joined without a repartitioning must
// have equally many partitions, which is checked at start. The same holds for topics whose
// records are to meet in a store of [Process]; whether they are is known to the processor
// alone, so that there unequal numbers only give a warning in the log.
//
// # Absent keys and values
//
// A record of Kafka need not have a key or a value. Operators without state pass absence
// on: MapValues, FlatMapValues and their Record forms leave an absent value absent
// without calling the function, and predicates on values see the zero value. With an
// Optional serde (serde.Nullable) the functions are called for absent values too.
//
//	in front of a repartition topic   records without a key are dropped
//	GroupTable                        a row without a key in the group is in no group
//	SourceTable, ToTable              records without a key are dropped, those without a
//	                                  value delete a row
//	Count, Reduce, Aggregate          records without a key or a value are dropped
//	the same over windows             records without a key are dropped, of a Reduce
//	                                  those without a value too
//	Join, LeftJoin                    records without a value are dropped; without a key,
//	                                  Join drops them and LeftJoin finds no row
//
// Dropped records are counted, by node and reason.
//
// # Order
//
// Formally: within a task, records are processed one at a time. Records of one partition
// are processed in order of offset. Of several partitions, the one whose next record has
// the smallest timestamp comes first; a partition that is empty although the broker has
// more of it is waited for. Config.TaskIdle of package millrace also waits for records
// that are still to be produced. A record passes through the operators depth first: an
// operator's children get a forwarded record in the order in which they were attached,
// and each is done with it, and with all that it forwards, before the next gets it.
//
// In plain words: what has the same key, and comes from one topic, is processed in the
// order in which it was produced, and results on one topic with the same key are in the
// order of what caused them.
//
// Not promised: an order between records of different partitions or tasks; an order
// between the updates of different rows of a table, other than that updates merged
// between two commits come in the order in which the rows first changed; an order across
// a repartition topic between records that came from different tasks.
//
// # Time
//
// Event time is the timestamp of a record: Kafka's, or what [TimestampFrom] says. What an
// operator forwards has the timestamp of the record that caused it; a row of a table has
// the largest timestamp of the records that made it, and a deletion forgets it. A
// deletion that is forwarded at once has the larger timestamp of the row and the record
// that deleted it; one that was held back until the commit has the record's alone.
//
// A windowed aggregation has a stream time of its own: the largest timestamp of the
// records that have reached it in this task, the present one included. It never goes
// back, and it survives restarts, moves to another process and lost disks. A window
// [start, end) takes records while end > stream time - grace. So a record may be late for
// one hopping window and in time for the next; it is counted as dropped once for each
// window that it is late for. Stream time moves only with records: windows on a partition
// without records stay open.
//
// # Tables
//
// A table comes from a topic ([SourceTable]), from a stream ([Stream.ToTable]) or from an
// aggregation. [Table.Filter] and [MapTable] make other tables of it, and [Table.Stream]
// gives its updates.
//
// A table with a store has its rows there. A table without one only passes on what comes:
//
//   - SourceTable, ToTable and aggregations have a store, unless they are told
//     [WithoutStore].
//   - Filter and MapTable have none. [Table.Stored] adds one.
//
// A store that is added to a program starts empty. If the application has run before, the
// store gets only the updates from then on, so a count of groups would miss the rows of
// before. Give the application another ID, or delete its group and internal topics, to
// fill it.
//
// A row has the largest timestamp of the records that made it, if an aggregation made it.
// A row of SourceTable, ToTable or Stored has the timestamp of its record: updates are
// applied in the order in which they come.
//
// [GroupTable] groups the rows by a key that is computed from the value, and aggregates
// the groups: if a row changes, its old value is subtracted from its old group, and its
// new value is added to its new one. If that is another group, the two change one after
// the other, and perhaps in different transactions: in between, a row may be in none of
// them.
//
// The functions of Filter and MapTable see old rows too, where an operator behind them
// has to know what was there before. So their results must depend on key and value only.
//
// A value that an aggregation has forwarded is changed in place no more if a store behind
// it may keep the value. A function or a processor must not keep such a value in a
// variable.
//
// # Joins
//
// [Join] and [LeftJoin] look up the newest row of a table for each record of a stream.
// [JoinTables], [LeftJoinTables] and [OuterJoinTables] make a table of two. They read the
// rows where they are stored already, and add no store: the rows of a table that Filter,
// MapTable or a join has made are made anew for each lookup.
//
// An update of one table meets the row of the other one as that was last forwarded. If
// l1 becomes l2 and r1 becomes r2 between two commits, the joined row becomes (l2, r1) and
// then (l2, r2). With the newest rows on both sides (l1, r2) would be taken out of a group
// that it was never put in.
//
// # Updates of tables
//
// Updates of one row between two commits are merged: one update is forwarded at the
// commit, with the timestamp of the row and the headers of the last record that changed
// it. A row that comes and goes between two commits is not forwarded at all. With
// [EveryUpdate], or Config.EveryUpdate for all tables, every update is forwarded at once.
// Do not count updates: how many there are depends on the commits, only the last one of
// each row does not.
//
// # Functions
//
// An operator has up to three forms, which differ in what its function sees and whether
// the function may fail:
//
//	MapValues(s, func(V) V2)                                        sees the value, cannot fail
//	TryMapValues(s, func(V) (V2, error))                            sees the value, may fail
//	MapValuesRecord(s, func(processor.Record[K, V]) (V2, error))    sees the record, may fail
//
// The rules for these forms, also for operators to come:
//
//   - The plain form is for the common case, and its function has the fewest parameters.
//   - A function that sees the record may always fail. There is no fourth form.
//   - If the function needs the whole record anyway, as that of [Map], [SelectKey] or
//     [Aggregate], there are the plain form and the Try form only.
//   - A function that only chooses a way for the record cannot fail: the predicates of
//     [Stream.Branch] and [Stream.BranchRecord], and the functions of [Stream.ToTopic]
//     and [Partitioner].
//   - If another operator can say the same, there is the plain form only:
//     [Stream.FilterNot] has no Try form, [Stream.TryFilter] has.
//   - An operator with two inputs, as a join, has the plain form and the Try form. Its
//     function sees the two values. In front of it, MapValuesRecord puts what is needed
//     of the key, the timestamp or the headers into the value.
//   - What differs otherwise is an option, never another form.
//
// # Errors
//
// An error, or a panic, in a function of the user's goes to the application's error
// policy with the node's name and the record's place (see processor.ErrorPolicy).
// Skipping is local: operators beside the failing one, and what was forwarded before, are
// not affected.
package topology
