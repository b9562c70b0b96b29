// Package wire has the messages that the tasks of batches send to each other, and the
// spans of time that the messages are about.
//
// A batch goes through three kinds of tasks. Stamping tasks send partial results and
// markers to counting tasks. Counting tasks send rows and markers to the gather task.
//
// The package owns the encoding of messages. Messages are in the repartition topics of
// running applications, so their encoding only changes together with its version.
package wire
