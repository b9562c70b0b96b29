// Package stamp runs in the tasks that read the stream. It gives each record its batch,
// runs the operators on batches, and folds records into partial results.
//
// [Stamper] is the processor of one Every. In come the records of the stream. A record
// takes this way:
//
//   - the clock says which batch is open, and the record gets that batch;
//   - a tree of [Node] passes it through the operators;
//   - a combiner at each leaf of the tree folds it into the partial results of one
//     aggregation.
//
// Out go, at each commit, the partial results, and after them a marker for each boundary
// that has passed. A marker says that everything that the task has of its batch precedes
// it.
//
// A stamper has no store. Its partial results are those of the open transaction. Its
// clock is three numbers, which are committed with the offsets of the task.
package stamp
