package task

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
)

// StallError is the cause of an error if a record was processed for so long, twice, that
// its transaction could not be committed.
type StallError struct{ Took time.Duration }

// Error says how long it took.
func (e *StallError) Error() string {
	return fmt.Sprintf("processing the record took %v, which is too long for its transaction: make it faster or raise Config.TransactionTimeout", e.Took)
}

// Stalled notes that the processing of the record at took too long for the second time.
// If the replay reaches the record again, the error policy gets a StallError, with the
// name of its source, and the record is not processed. A commit of the record clears the
// note.
func (m *Memory) Stalled(at processor.Metadata, took time.Duration) {
	if m.stalls == nil {
		m.stalls = map[place]time.Duration{}
	}
	m.stalls[place{topic: at.Topic, partition: at.Partition, offset: at.Offset}] = took
}

// stalled passes the current record to the policy if it is known to take too long. It
// reports whether the record is finished.
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
