package task

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Refusal is an output that the broker refuses although it was sent alone.
type Refusal struct {
	Out   graph.Output       // as it was sent last
	From  processor.Metadata // as Outbox.Send was told
	Input *graph.Input       // what Task.Input returned then
	Tries int                // how often Refused has had it sent again
	Err   error
	Gone  bool // the topic is missing, or may not be written: it refuses every record
}

// Refused gives an output that the broker has refused to the error policy. It returns
// what is to be sent in its place, within the same transaction; nil if nothing. It must
// not be called inside another method of the task.
//
// The output of a sink or of a repartition topic meets the policy. A changelog record
// fails, because the committed state could not be restored without it. A dead letter is
// reduced until the topic takes it.
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

// Input is the record that the task is about: the one being processed, or the one that a
// flush is about and that was kept. nil if there is none.
func (t *Task) Input() *graph.Input { return t.input() }
