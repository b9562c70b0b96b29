// Package batch has Spark Streaming's vocabulary: a stream is cut into batches, and each
// batch gives one result over all partitions.
//
//	five := batch.Every(originals, "originals", 5*time.Second)
//	five.Count("tweets").Print(os.Stdout)
//
//	byAuthor := batch.MapValues(five, Author, serde.String)
//	authors := batch.CountByValue(byAuthor, "authors")
//	authors.Top(5).Print(os.Stdout)                     // this batch
//	authors.Window(time.Minute).Top(5).Print(os.Stdout) // the last minute
//
// [Batches] are the records, batch by batch. Filter, Map, MapValues, FlatMap and
// FlatMapValues work on them. Count, CountByValue, ReduceByKey and AggregateByKey make a
// [Result] of them, which has one row for each key.
//
// A result can be windowed, filtered, sorted, cut and transformed. Print, ForEach and To
// take it out. As everywhere, methods keep the types and functions change them. To unite
// streams, use topology's Merge before Every.
//
// # Names
//
// The program gives a name to each Every and to each aggregation. The name is that of
// their stores and topics. The name of everything else is derived from the result that it
// hangs on, as in authors-window-1m-top-print. If the same thing hangs twice on one
// result, both have the same name: Build then asks for [Result.Named] or [Output.Named].
//
// # For those who know Spark Streaming
//
//	Spark Streaming                        here
//	StreamingContext(sc, Seconds(5))       Every(stream, name, 5*time.Second)
//	a.union(b)                             a.Merge(b), before Every
//	count, countByValue                    Count, CountByValue
//	countByWindow, countByValueAndWindow   the same, with .Window(d)
//	reduceByKey                            ReduceByKey
//	reduceByKeyAndWindow(f, inv, d)        ReduceByKey(..., f, Inverse(inv)).Window(d)
//	combineByKey, groupByKey               AggregateByKey
//	a window with a slide                  an Every with the slide as its interval
//	transform, foreachRDD                  Transform, ForEach
//	print(n), pprint(n)                    Print, with Rows(n)
//	saveAsTextFiles                        To, a topic
//	updateStateByKey, mapWithState         topology's tables: GroupBy and Aggregate
//
// A window is one of an aggregation, not of records: records are not kept beyond their
// batch. To leave something out of a window, filter before the aggregation or after the
// window.
//
// # How a record becomes a result
//
//	records of the stream
//	   │
//	 stamp    each record gets its batch, and joins a partial result
//	   │
//	   │      <app>-<every>-repartition: partial results, markers
//	   │
//	 count    partial results meet by key, in stores; windows
//	   │  └── To: rows without an order, to a topic
//	   │
//	   │      <app>-gather-repartition: rows that are needed in one place, markers
//	   │
//	 gather   the rows of all counting tasks meet
//	   │
//	 output   Print, ForEach, To
//
// Each step is a package in batch/internal, with a doc.go of its own. This package has
// the words, and the plan that Build turns into nodes of the topology.
//
//   - stamp. Every is an operator of the tasks that read the stream. It says in which
//     batch a record is, once for all results. It keeps partial results of the open
//     transaction in memory. Config.StateMemory bounds that memory: if it is full, the
//     task commits early. At each commit it sends the partial results, one record for
//     each distinct key. At a boundary it sends a marker: everything of this task up to
//     here precedes it.
//   - count. The counting tasks merge the partial results in stores with changelogs. A
//     batch is complete when it has the markers of all stamping tasks. Then its rows are
//     read once, in order of their keys, and go where they are needed.
//   - gather. The gather task closes a batch when it has the markers of all counting
//     tasks. Then the outputs run, in order of declaration.
//
// internal/closing, which count and gather share, knows from the markers when a batch is
// complete. It does the work on a batch in steps, over several transactions if there is
// much to do.
//
// So the network carries one record for each distinct key and commit. The end of a batch
// costs only markers and the rows of the results. Top, Take and Print send as many rows
// from each task as they keep; SortBy, Transform and ForEach send all. A window costs
// what enters and what leaves it.
//
// # Guarantees
//
// Let I be the interval. The guarantees are those of exactly-once, the default.
//
//  1. A committed record is in exactly one batch, the same for all results of one Every.
//     So for each batch the rows of CountByValue add up to Count. Several Every of one
//     interval in one sub-topology agree too, unless the clock was set back across a
//     restart.
//     If a function before the aggregation fails for a record, and the error policy skips
//     the record, it is in no result. If the function of an aggregation fails, the record
//     is missing in that result only.
//  2. A record that is processed while the wall clock of its process shows t is in the
//     batch [⌊t/I⌋·I, ⌊t/I⌋·I + I), or in a later one. The batch of a task never goes
//     back, neither with the clock nor after a restart.
//  3. A running task closes every batch, empty ones too. If some task has closed a batch,
//     or has put a record into it, the batch gives exactly one result, also across
//     crashes, moved tasks and lost disks. Results of one Every come in order of their
//     batches.
//  4. A task has a gap if its wall clock jumps forward by more than 2·I while it runs, or
//     if it starts more than 2·I after the end of the batch that was open at its last
//     commit. The gap reaches from the end of that batch to the latest boundary, and is
//     logged. A batch that no task has closed, because nothing ran, gives no result; one
//     line in the log says so.
//  5. To writes each row of each result exactly once, for readers with isolation level
//     read_committed. Print writes each block at most once, in order. ForEach is called
//     at least once for each batch.
//  6. A window of length d at batch end T has the batches whose ends are in (T-d, T].
//  7. Rows are in order of the unsigned bytes of their keys. So are rows that SortBy and
//     Top hold for equal. The gather task gives the results of one batch in order of
//     declaration.
//
// In plain words: as long as the application runs, every batch has one result, and the
// result is exact. Kill a process at any time: the same results come, though uncommitted
// records may get into a later batch. After a stop, the results go on with the batch in
// which the application starts; before it comes what had arrived of the last batch.
//
// Under at-least-once, a crash can count records twice.
//
// # What not to assume
//
// Do not assume that a result comes at the end of its batch. It comes when the slowest
// task has closed the batch, a task that is restoring included, and after three commits
// on the way.
//
// Do not assume that a batch has the records that were produced in its time. The time of
// arrival counts: after a stop, the records that piled up are in the first batches.
// [ByRecordTime] cuts by timestamps instead.
//
// Do not assume that clocks do not matter. Processes with different clocks put records
// that arrive together into different batches. A clock that is an hour ahead puts the
// records of its tasks into batches that are complete in an hour. If it is then set back,
// these batches stay open until then.
//
// Do not assume that a printed batch was seen: a crash between the commit and the Write
// loses it. For results that matter, use To or ForEach.
//
// # What may change
//
//   - The interval may change, by arrival: the open batch keeps its end.
//   - Windows may come: a new window starts with the batches that are still stored.
//   - The number of tasks that read the stream (the partitions of its topics) and the
//     number of counting tasks must stay. Open batches could not be completed, so the
//     application refuses to start.
package batch
