// Package stamp runs in the tasks that read the stream: it says in which batch a record
// is, runs the operators on batches, and combines the records of a transaction into
// partial results.
//
// A record takes this way: [Stamper] stamps it, a tree of [Node] passes it through the
// operators, and a combiner at each leaf of the tree folds it into the partial results of
// one aggregation. At each commit the stamper sends the partial results, and after them a
// marker for each boundary that has passed.
package stamp
