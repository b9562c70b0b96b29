// Package batch has Spark Streaming's vocabulary: a stream is cut into batches, and each
// batch gives one result over all partitions.
//
//	five := batch.Every(originals, "originals", 5*time.Second)
//	five.Count("tweets").Print(os.Stdout)
//
//	authors := batch.CountByValue(batch.MapValues(five, Author, serde.String), "authors")
//	authors.Top(5).Print(os.Stdout)                     // this batch
//	authors.Window(time.Minute).Top(5).Print(os.Stdout) // the last minute, every batch
//
// [Batches] are the records, batch by batch: Filter, Map, MapValues, FlatMap,
// FlatMapValues work on them, and Count, CountByValue, ReduceByKey and AggregateByKey
// make a [Result] of them, which has one row for each key. A result can be windowed,
// filtered, sorted, cut and transformed, and goes to Print, ForEach and To. As
// everywhere, methods keep the types and functions change them. A union of streams is
// topology's Merge, before Every.
//
// Names. Every and the aggregations have a name that the program gives; it names their
// stores and topics. What hangs on a result is called after it, as in
// authors-window-1m-top-print. The same thing twice on one result would have the same
// name: Build then asks for [Result.Named] or [Output.Named].
//
// # For those who know Spark Streaming
//
//	Spark Streaming                             here
//	StreamingContext(sc, Seconds(5))            Every(stream, name, 5*time.Second)
//	a.union(b)                                  a.Merge(b), before Every
//	count, countByValue                         Count, CountByValue
//	countByWindow, countByValueAndWindow        the same, with .Window(d)
//	reduceByKey                                 ReduceByKey
//	reduceByKeyAndWindow(f, inverse, d)         ReduceByKey(..., f, Inverse(inverse)).Window(d)
//	combineByKey, groupByKey                    AggregateByKey
//	a window that slides by more than a batch   an Every of its own, with the slide as its interval
//	transform, foreachRDD                       Transform, ForEach
//	print(n), pprint(n)                         Print, with Rows(n)
//	saveAsTextFiles                             To, a topic
//	updateStateByKey, mapWithState              topology's tables: GroupBy and Aggregate
//
// A window is one of an aggregation, not of records: records are not kept beyond their
// batch. What is to be left out of a window is filtered before the aggregation, or after
// the window.
//
// # How it works
//
// Every is an operator of the tasks that read the stream. It says in which batch a record
// is, once for all results, and keeps partial results of the open transaction in memory;
// Config.StateMemory bounds them, by early commits. At each commit it sends them, one
// record for each distinct key, through <app>-<name>-repartition to the tasks that count,
// and at a boundary a marker: all of mine up to here precedes this. The counting tasks
// merge the partial results in stores, with changelogs. When a batch has the markers of
// all tasks it is complete: its rows go to the topics of To and, as far as they are
// needed in one place, through <app>-gather-repartition to the one gather task of the
// application, which closes the batch in the same way, and prints.
//
// So the network carries one record per distinct key and commit, and the end of a batch
// costs only markers and the rows of the results. Top, Take and Print send as many rows
// per task as they keep; SortBy, Transform and ForEach send all. A window costs what
// enters and what leaves, not one update per record and batch in it.
//
// # Guarantees
//
// Let I be the interval, under exactly-once, the default.
//
//  1. A record that is committed is in exactly one batch, the same for all results of one
//     Every. So for each batch the rows of CountByValue add up to Count. Several Every of
//     one interval in one sub-topology agree too, unless the clock was set back across a
//     restart. A record for which one of the functions before the aggregation fails, and
//     that the error policy skips, is in no result; one for which the function of an
//     aggregation fails is missing in that one.
//  2. A record that is processed while the wall clock of its process shows t is in the
//     batch [⌊t/I⌋·I, ⌊t/I⌋·I + I), or in a later one: the batch of a task never goes
//     back, neither with the clock nor after a restart.
//  3. A task that runs closes every batch, also an empty one. A batch that some task has
//     closed, or has put a record into, gives exactly one result, also across crashes,
//     moved tasks and lost disks. Results of one Every come in order of their batches.
//  4. If the wall clock of a running task jumps forward by more than 2·I, or a task
//     starts more than 2·I after the end of the batch that was open at its last commit,
//     this task has a gap from the end of that batch to the latest boundary, and logs it.
//     What no task closed, because nothing ran, gives no result; one line in the log says
//     so.
//  5. To writes each row of each result exactly once, for readers with isolation level
//     read_committed. Print writes each block at most once, in order. ForEach is called
//     at least once for each batch.
//  6. A window of length d at batch end T has the batches whose ends are in (T-d, T].
//  7. Rows are in order of the unsigned bytes of their keys, and so are rows that SortBy
//     and Top hold for equal. The gather task gives the results of one batch in order of
//     declaration.
//
// In plain words: as long as the application runs there is one result for every batch,
// and it is exact: kill a process at any time, and the results that come are those that
// would have come, though records that were not committed may get into a later batch.
// After a stop the results go on with the batch in which the application is started; what
// had arrived of the last one before the stop is given first.
//
// Under at-least-once a crash can count records twice.
//
// # What not to assume
//
// That a result comes at the batch's end: it comes when the slowest task has closed the
// batch, a task that is restoring its state included, and after three commits on the way.
//
// That a batch has the records that were produced in its time: arrival is what counts, so
// after a stop the records that piled up are in the first batches. [ByRecordTime] cuts by
// timestamps instead.
//
// That clocks do not matter: processes with different clocks put records that arrive
// together into different batches, and a clock that runs ahead by an hour puts the
// records of its tasks into batches that are complete in an hour. If it is then set back,
// they stay open until then.
//
// That a printed batch was printed: a crash between the commit and the Write loses it.
// Use To or ForEach for what matters.
//
// That the interval, the windows or the program cannot be changed: an interval that is
// changed (by arrival) closes the open batch at its old end; a new window starts with the
// batches that are still stored. But the number of tasks that read the stream (the
// partitions of its topics) and that of the counting tasks must stay: what is under way
// could not be completed, so the application refuses to start.
package batch
