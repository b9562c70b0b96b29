// Package gather brings the rows of results together in the gather task. An application
// has one gather task.
//
// A [Point] is a place where the rows of one result are gathered. It has two ends. In the
// counting tasks it is a consumer of rows, which sends all rows or only the first ones.
// In the gather task it is a [List]: the rows of a batch, in order.
//
// [Gatherer] is the processor of the gather task. It receives rows and markers from the
// counting tasks of all Every, through the topic <app>-gather-repartition. When the
// markers of all counting tasks have arrived for a batch, the gatherer runs the outputs
// of the batch in order of declaration, and deletes its rows.
//
// The gatherer owns the store "gather", with a changelog: the gathered rows by point,
// batch and key, and the watermarks of each Every.
package gather
