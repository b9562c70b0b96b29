// Package stamp runs in the tasks that read the stream. It gives each record its batch,
// runs the operators on batches, and folds records into partial results.
//
// [Stamper] is the processor of one Every. It receives the records of the stream. A
// record takes these steps:
//
//   - The clock says which batch is open, and the record gets that batch.
//   - A tree of [Node]s passes it through the operators.
//   - A combiner at each leaf of the tree folds it into the partial results of one
//     aggregation.
//
// At each commit, the stamper sends the partial results, and after them a marker for each
// batch that has ended. A marker says that all partial results of this task for the batch
// were sent before it.
//
// A stamper has no store. It keeps partial results only until the end of the open
// transaction. Its clock consists of three numbers, which are committed with the offsets
// of the task.
package stamp
