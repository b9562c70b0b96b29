// Package gather brings the rows of results together in one place: the gather task, of
// which an application has one.
//
// A [Point] is where the rows of one result are gathered. It has two ends. In the
// counting tasks it is a consumer of rows, which sends all rows, or selects the first
// ones and sends those. In the gather task it is a [List]: the rows of a batch, in order.
//
// [Gatherer] is the processor of the gather task. In come rows and markers from the
// counting tasks of all Every, through the topic <app>-gather-repartition. When a batch
// has the markers of all counting tasks, the gatherer runs the outputs of the batch in
// order of declaration, and deletes its rows.
//
// The gatherer owns the store "gather", with a changelog: the gathered rows by point,
// batch and key, and the watermarks of each Every.
package gather
