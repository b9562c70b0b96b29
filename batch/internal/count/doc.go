// Package count runs in the counting tasks. It merges the partial results of the stamping
// tasks, keeps windows over batches, and passes the rows of each complete batch to their
// consumers.
//
// [Counter] is the processor of one Every. It receives partial results and markers
// through the topic <app>-<every>-repartition. It sends the rows of complete batches to
// sinks, and to the gather task, with a marker for each batch.
//
// The counter owns these stores, all with changelogs:
//
//   - <every>: its watermarks, and its progress with the batch that is being closed
//   - one for each [Aggregation]: a pane for each batch, with a row for each key
//   - one for each [Window]: a running total for each key
package count
