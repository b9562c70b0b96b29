package operator

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// base is what all nodes of a running task have in common.
type base struct {
	task graph.Task
	node *graph.Node
}

// drop counts a record as dropped.
func (b *base) drop(reason string) { b.task.Drop(b.node, reason) }

// failed passes an error of a user function to the error policy. ok says that again has
// succeeded.
func (b *base) failed(err error, again func() error) (ok bool, failure error) {
	return b.task.Fail(b.node, processor.Process, err, again)
}

// whichRow says for which row of a table a function is called.
type whichRow string

const (
	newRow    whichRow = "" // that of the record
	rowBefore whichRow = "the row before the update"
	// A join of tables looks it up for a record of the other table. The error policy was
	// given an error about it when it was new.
	rowLookedUp whichRow = "the row that is looked up"
)

// failedFor is failed for a function of a table.
func (b *base) failedFor(row whichRow, err error, again func() error) (ok bool, failure error) {
	if row == newRow {
		return b.failed(err, again)
	}
	mark := func(err error) error { return graph.OtherRow(string(row), err) }
	return b.failed(mark(err), func() error { return mark(again()) })
}

// broken wraps an error that no error policy may skip, for example a store that cannot be
// read: the results would be wrong. The returned error names the node and the record.
func (b *base) broken(err error) error {
	m := b.task.Metadata()
	return graph.Final(&processor.Error{
		Phase: processor.Process, Node: b.node.Name, Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Err: err,
	})
}

// origin returns what a store notes about the record that makes a change.
func (b *base) origin(headers processor.Headers) engine.Origin {
	m := b.task.Metadata()
	o := engine.Origin{Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Headers: headers}
	if in := b.task.Input(); in != nil {
		o.Input = in
	}
	return o
}

// flushing tells the task which record last changed the row that is forwarded next.
// Metadata and errors that follow name that record.
func (b *base) flushing(o engine.Origin) {
	graph.SetOrigin(b.task, processor.Metadata{Topic: o.Topic, Partition: o.Partition, Offset: o.Offset}, o.Input)
}

// Reasons of dropped records.
const (
	nullKey           = "null key"
	nullValue         = "null value"
	tooOldVersion     = "version older than the history"
	earlierVersion    = "update of the past"
	lateRecord        = "late record"
	expiredRow        = "expired row"
	partialRecord     = "partial result"
	invalidTimestamp  = "invalid timestamp"
	noPartitionChosen = "partitioner chose no partition"
)
