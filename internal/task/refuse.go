package task

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Refusal is an output that the broker refused although it was sent alone.
type Refusal struct {
	Out   graph.Output       // the record as last sent
	From  processor.Metadata // from in Outbox.Send
	Input *graph.Input       // the result of Task.Input at that time
	Tries int                // how often Refused has repeated it
	Err   error
	Gone  bool // the topic is missing or may not be written
}

// Refused passes a refused output to the error policy. It returns the record to send
// instead, within the same transaction, or nil. It must not be called inside another
// method of the task.
//
//   - The output of a sink or of a repartition topic goes to the policy.
//   - A changelog record fails the task, because the committed state could not be
//     restored without it.
//   - A dead letter is reduced until the topic accepts it.
func (t *Task) Refused(r Refusal) (again *graph.Output, failure error) {
	if t.failure != nil {
		return nil, t.failure
	}
	defer t.contain(&failure)
	t.origin, t.originInput = r.From, r.Input
	if r.From.Topic == "" {
		t.origin = noRecord
	}
	defer func() { t.origin, t.originInput = noRecord, nil }()
	cause := fmt.Errorf("topic %s: %w", r.Out.Topic, r.Err)
	switch {
	case r.Out.Node != nil:
		return t.refusedOutput(&r, t.errorOf(r.Out.Node.Name, processor.Produce, cause))
	case t.isLetter(&r.Out) && !r.Gone:
		return t.reduced(&r), nil
	}
	e := t.errorOf(senderOf(&r.Out), processor.Produce, cause)
	t.observe(e, processor.Fail)
	return nil, t.fail(e)
}

func (t *Task) refusedOutput(r *Refusal, e *processor.Error) (again *graph.Output, failure error) {
	action := t.decide(e)
	if action == processor.Retry && r.Tries >= t.retries() {
		action = t.exhausted()
	}
	if action != processor.Retry {
		return nil, t.act(action, r.Out.Node, e)
	}
	t.observe(e, processor.Retry)
	if err := t.backoff(r.Tries); err != nil {
		return nil, t.fail(e)
	}
	return &r.Out, nil
}

// Input returns the record that is being processed, or the record of a flush if it was
// kept, or nil. The pointer is valid until the end of the transaction.
func (t *Task) Input() *graph.Input { return t.lend(t.input()) }
