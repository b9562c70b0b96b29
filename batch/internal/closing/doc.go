// Package closing completes batches in the tasks that receive markers: the counting tasks
// and the gather task.
//
// [Watermarks] takes the markers, and finds out from them which batch is complete. A
// [Closer] then does the [Step]s of that batch in order. [Closers] divides the work of a
// task among its transactions. A batch with many rows takes several transactions. After a
// crash the work continues where the last committed transaction left it.
//
// The package owns the rows that record the progress of a receiver. They are in the store
// that the receiver gives it:
//
//   - how far each sender has come;
//   - the batches that are to give a result, and the last one that has given its result;
//   - the step and the row that the open work has reached.
package closing
