// Package closing completes batches in the tasks that receive markers: the counting tasks
// and the gather task.
//
// [Watermarks] takes the markers, and knows from them which batch is complete. A [Closer]
// then does the [Step]s of that batch in order. [Closers] divides the work of a task
// among its transactions: a batch with many rows takes several, and goes on where it was
// after a crash.
//
// The package owns the rows that say how far a receiver is, in the store that the
// receiver gives it:
//
//   - how far each sender has come;
//   - the batches that are to give a result, and the last one that has given its result;
//   - the step and the row at which the open work is.
package closing
