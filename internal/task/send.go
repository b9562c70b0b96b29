package task

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// TooLargeError is the cause of an error when a record is larger than its topic takes.
type TooLargeError struct {
	Topic       string
	Size, Limit int // bytes; Size is an upper bound of the record alone in a batch, uncompressed
}

// Error names the topic, its limit and the size.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("a record of %d bytes is larger than topic %s takes (max.message.bytes=%d)", e.Size, e.Topic, e.Limit)
}

// Send implements [graph.Task].
func (h *host) Send(out graph.Output) error {
	t := h.t
	if t.failure != nil {
		return t.failure
	}
	if err := t.checkSize(&out); err != nil {
		return t.refuse(&out, err)
	}
	out.Held = t.current == nil
	if m := t.cfg.Memory; m != nil && len(m.refusals) > 0 && out.Node != nil {
		if out.Held {
			t.called(heldBy(out.Node))
		}
		if p, refusal := m.refused(h.Metadata(), &out); refusal != nil {
			return t.refusedBefore(&out, p, refusal)
		}
	}
	return t.send(out)
}

func (t *Task) send(out graph.Output) error {
	t.dirty = true
	if err := t.cfg.Out.Send(out, t.nodes.Metadata()); err != nil {
		return t.fail(t.errorOf(senderOf(&out), processor.Produce, fmt.Errorf("send to topic %s: %w", out.Topic, err)))
	}
	return nil
}

// refuse gives a record that cannot be sent to the policy.
func (t *Task) refuse(out *graph.Output, err error) error {
	if out.Node == nil {
		return t.fail(t.errorOf(senderOf(out), processor.Produce, err))
	}
	_, failure := t.nodes.Fail(out.Node, processor.Produce, err, nil)
	return failure
}

// refusedBefore gives a record that the broker has refused, in a transaction that was aborted for it, to the policy.
func (t *Task) refusedBefore(out *graph.Output, p place, refusal error) error {
	e := t.errorOf(out.Node.Name, processor.Produce, fmt.Errorf("topic %s: %w", out.Topic, refusal))
	action := t.decide(e)
	if action != processor.Retry {
		return t.act(action, out.Node, e)
	}
	attempt := t.cfg.Memory.attempts(p)
	if !t.cfg.Memory.again(p, t.retries()) {
		return t.act(t.exhausted(), out.Node, e)
	}
	t.observe(e, processor.Retry)
	if err := t.backoff(attempt); err != nil {
		return t.fail(e)
	}
	return t.send(*out)
}

func senderOf(out *graph.Output) string {
	if out.Node != nil {
		return out.Node.Name
	}
	return "topic " + out.Topic
}

// checkSize compares an upper bound of the record's batch with what the topic takes.
func (t *Task) checkSize(out *graph.Output) error {
	limit := t.cfg.Out.MaxMessageBytes(out.Topic)
	if limit <= 0 {
		return nil
	}
	// Batch header; then length, attributes, timestamp, offset, and the counts of key, value and headers as the longest varints.
	const batch, record, field = 61, 5 + 1 + 10 + 5 + 5 + 5 + 5, 5
	size := batch + record + len(out.Key) + len(out.Value)
	for i := range out.Headers {
		size += 2*field + len(out.Headers[i].Key) + len(out.Headers[i].Value)
	}
	if size <= limit {
		return nil
	}
	return &TooLargeError{Topic: out.Topic, Size: size, Limit: limit}
}
