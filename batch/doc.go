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
// FlatMapValues work on them. Count, CountByValue, ReduceByKey and AggregateByKey turn
// them into a [Result], which has one row for each key.
//
// A result can be windowed, filtered, sorted, cut and transformed. Print, ForEach and To
// are its outputs. As in package topology, methods keep the types and functions change
// them. To unite streams, use topology's Merge before Every.
//
// # Names
//
// The program gives a name to each Every and to each aggregation. Their stores and topics
// have this name. All other operators and outputs get a name that is derived from the
// result on which they were called, such as authors-window-1m-top-print. If the same
// operator is called twice on one result, both have the same derived name. Build then
// returns an error that asks for [Result.Named] or [Output.Named].
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
// A window applies to an aggregation and not to records, because records are not kept
// after their batch. To leave something out of a window, filter before the aggregation or
// after the window.
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
// the operators, and the plan that Build turns into nodes of the topology.
//
//   - stamp. Every is an operator of the tasks that read the stream. It decides once,
//     for all results, in which batch a record is. It keeps the partial results of the
//     open transaction in memory. Config.StateMemory bounds that memory: if it is full,
//     the task commits early. At each commit it sends the partial results, one record
//     for each distinct key. Nobody waits for them, so an idle task does not commit
//     before Config.CommitInterval has passed. At the end of a batch it sends a marker.
//     The marker says that all partial results of this task for the batch were sent
//     before it.
//   - count. The counting tasks merge the partial results in stores with changelogs. A
//     batch is complete when the markers of all stamping tasks have arrived. Then its
//     rows are read once, in order of their keys, and sent to the outputs or to the
//     gather task.
//   - gather. The gather task closes a batch when the markers of all counting tasks have
//     arrived. Then the outputs run, in order of declaration.
//
// count and gather share the package internal/closing. It finds out from the markers when
// a batch is complete. It does the work on a batch in steps, and spreads much work over
// several transactions.
//
// The network therefore carries one record for each distinct key and commit. The end of a
// batch costs only markers and the rows of the results. Top, Take and Print send as many
// rows from each task as they keep; SortBy, Transform and ForEach send all. The work of a
// window depends on the rows that enter and leave it, and not on its length.
//
// # Guarantees
//
// Let I be the interval. The guarantees are those of exactly-once, the default.
//
//  1. A committed record is in exactly one batch, the same for all results of one Every.
//     For each batch, the rows of CountByValue therefore add up to Count. If several
//     Every in one sub-topology have the same interval, they agree too, unless the clock
//     was set back across a restart. If a function before the aggregation fails for a
//     record, and the error policy skips the record, it is in no result. If the function
//     of an aggregation fails, the record is missing in that result only.
//  2. A record that is processed while the wall clock of its process shows t is in the
//     batch [⌊t/I⌋·I, ⌊t/I⌋·I + I), or in a later one. The batch of a task never goes
//     back, neither with the clock nor after a restart.
//  3. A running task closes every batch, empty ones too. If a task has closed a batch, or
//     has put a record into it, the batch gives exactly one result. This holds across
//     crashes, moved tasks and lost disks. Results of one Every come in order of their
//     batches.
//  4. A task has a gap if its wall clock jumps forward by more than 2·I while it runs, or
//     if it starts more than 2·I after the end of the batch that was open at its last
//     commit. The gap reaches from the end of the open batch to the latest end of a
//     batch, and is logged. If no task has closed a batch, because no task was running,
//     the batch gives no result. A line in the log says so.
//  5. To writes each row of each result exactly once, for readers with isolation level
//     read_committed. Print writes each block at most once, in order. ForEach is called
//     at least once for each batch.
//  6. A window of length d at batch end T has the batches whose ends are in (T-d, T].
//  7. Rows are in order of the unsigned bytes of their keys. Rows that are equal for
//     SortBy or Top are in this order too. The gather task gives the results of one batch
//     in order of declaration.
//
// In plain words: as long as the application runs, every batch has one result, and the
// result is exact. If a process is killed at any time, the same results come, but
// uncommitted records may be in a later batch. After a stop, the first result is that of
// the batch that was open at the stop, with the records that had arrived by then. The
// next result is that of the batch in which the application has started.
//
// Under at-least-once, a crash can count records twice.
//
// # What not to assume
//
// Do not assume that a result comes at the end of its batch. It comes after the slowest
// task has closed the batch, and three commits later: one of each step. A task that is
// restoring holds results back too.
//
// Do not assume that a batch has the records that were produced in its time. The time of
// arrival counts: records that were produced while the application was stopped are in the
// first batches after the start. [ByRecordTime] cuts by timestamps instead.
//
// Do not assume that clocks do not matter. If two processes have different clocks,
// records that arrive at the same time are in different batches. A process whose clock is
// an hour ahead puts its records into batches that are complete only in an hour. If the
// clock is then set back, these batches still stay open until that time.
//
// Do not assume that every batch is printed. If the process crashes between the commit
// and the Write, the printed batch is lost. For results that matter, use To or ForEach.
//
// # What may change
//
//   - The interval of batches by arrival may change. The open batch keeps its end. (With
//     ByRecordTime the interval must stay.)
//   - Windows may be added. A new window starts with the batches that are still stored.
//   - The number of tasks that read the stream (the partitions of its topics) and the
//     number of counting tasks must stay. If one of them changes, open batches could not
//     be completed, so the application refuses to start.
package batch
