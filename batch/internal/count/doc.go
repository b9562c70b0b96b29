// Package count runs in the counting tasks. It merges the partial results of the stamping
// tasks, keeps windows over batches, and gives the rows of each complete batch to the
// consumers that hang on them.
//
// [Counter] is the processor of one Every. In come partial results and markers, through
// the topic <app>-<every>-repartition. Out go the rows of complete batches: to sinks, and
// with a marker for each batch to the gather task.
//
// The counter owns these stores, all with changelogs:
//
//   - <every>: its watermarks, and how far it is with the batch that is being closed
//   - one for each [Aggregation]: a pane for each batch, with a row for each key
//   - one for each [Window]: a running total for each key
package count
