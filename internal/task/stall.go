package task

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
)

// StallError is the cause of an error when the processing of a record took so long that
// its transaction could not be committed, again.
type StallError struct{ Took time.Duration }

// Error says how long it took.
func (e *StallError) Error() string {
	return fmt.Sprintf("processing the record took %v, which is too long for a transaction (Config.TransactionTimeout)", e.Took)
}

// Stalled tells that the processing of the record at took too long for the second time.
// If the replay meets the record once more, the error policy gets a StallError in place
// of the record, in the name of its source. A commit of the record ends that.
func (m *Memory) Stalled(at processor.Metadata, took time.Duration) {
	if m.stalls == nil {
		m.stalls = map[place]time.Duration{}
	}
	m.stalls[place{topic: at.Topic, partition: at.Partition, offset: at.Offset}] = took
}

// stalled gives the current record to the policy if it is known to take too long. It
// reports whether the record is done with.
func (t *Task) stalled(q *queue) (done bool, failure error) {
	at := t.nodes.Metadata()
	took, known := t.cfg.Memory.stalls[place{topic: at.Topic, partition: at.Partition, offset: at.Offset}]
	if !known {
		return false, nil
	}
	ok, failure := t.nodes.Fail(q.node, processor.Process, &StallError{took}, nil)
	return !ok || failure != nil, failure
}

// Last returns the record that Process has taken last; its Topic is empty if there is
// none.
func (t *Task) Last() processor.Metadata {
	if t.last == nil {
		return processor.Metadata{Partition: -1, Offset: -1}
	}
	return processor.Metadata{Topic: t.last.topic, Partition: t.last.partition, Offset: t.lastOffset}
}
