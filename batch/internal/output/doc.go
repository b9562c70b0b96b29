// Package output takes the rows of complete batches out of the application: [Print] and
// [Each] in the gather task, [To] to a topic.
//
// In the gather task, an output gets a [gather.List] and runs once for each batch, in
// order of the batches. To also writes from the counting tasks, where it is a
// [rows.Consumer], if the rows need no order.
//
// The package owns no state: the closer of the task knows which outputs of a batch have
// run.
package output
