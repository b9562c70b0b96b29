// Package closing completes batches in the tasks that receive markers: the counting tasks
// and the gather task.
//
// [Watermarks] knows from the markers which batch is complete. A [Closer] then does the
// steps of that batch, and [Closers] divides the work of a task among its transactions.
package closing
