package task

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Send implements [graph.Task].
func (h *host) Send(out graph.Output) error {
	t := h.t
	if t.failure != nil {
		return t.failure
	}
	if err := t.check(&out); err != nil {
		return t.refuse(&out, err)
	}
	return t.send(out)
}

func (t *Task) send(out graph.Output) error {
	t.dirty, t.awaited = true, true
	if err := t.cfg.Out.Send(out, t.nodes.Metadata()); err != nil {
		return t.fail(t.errorOf(senderOf(&out), processor.Produce, fmt.Errorf("send to topic %s: %w", out.Topic, err)))
	}
	return nil
}

// leastBatch is the smallest limit of a topic to which partial results are sent. It is
// far above their size.
const leastBatch = 64 << 10

// Combines implements [graph.Task]. If the topic may refuse a record, records are not
// combined, because the refusal would also drop the records that are combined with it.
func (h *host) Combines(topic string) bool {
	if !h.t.cfg.Combine || h.t.cfg.EveryUpdate || h.t.cfg.Out.Cautious(topic) {
		return false
	}
	l := h.t.cfg.Out.Limits(topic, false)
	return l.Ahead == 0 && l.Behind == 0 && l.MaxBytes >= leastBatch
}

// refuse passes a record that cannot be sent to the policy.
func (t *Task) refuse(out *graph.Output, err error) error {
	if out.Node == nil {
		return t.fail(t.errorOf(senderOf(out), processor.Produce, err))
	}
	_, failure := t.nodes.Fail(out.Node, processor.Produce, err, nil)
	return failure
}

func senderOf(out *graph.Output) string {
	if out.Node != nil {
		return out.Node.Name
	}
	return "topic " + out.Topic
}
