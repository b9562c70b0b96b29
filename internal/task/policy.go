package task

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

const (
	defaultRetries = 3
	defaultBackoff = 100 * time.Millisecond
)

// ReplayError asks the shell to abort the transaction, to make all its tasks again, and
// to replay from the last commit. The error policy bounds how often this may happen for
// one record, through Config.Memory.
type ReplayError struct{ Err *processor.Error }

func (e *ReplayError) Error() string { return "replay from the last commit: " + e.Err.Error() }

// Unwrap returns the error that made the replay necessary.
func (e *ReplayError) Unwrap() error { return e.Err }

// Fail implements [graph.Task].
func (h *host) Fail(n *graph.Node, phase processor.Phase, cause error, again func() error) (ok bool, failure error) {
	t := h.t
	if t.failure != nil {
		return false, t.failure
	}
	e := t.errorOf(n.Name, phase, cause)
	if t.ended(cause) {
		return false, t.fail(e)
	}
	switch action := t.decide(e); action {
	case processor.Retry:
		ok, failure = t.retry(n, e, again)
	default:
		failure = t.act(action, n, e)
	}
	t.undecoded = phase == processor.Decode && !ok
	return ok, failure
}

// ended reports whether a user function returned an error because the task has to stop.
// The record is then not the cause.
func (t *Task) ended(cause error) bool {
	err := t.ctx.Err()
	return err != nil && errors.Is(cause, err)
}

// errorOf describes an error at the current record.
func (t *Task) errorOf(node string, phase processor.Phase, cause error) *processor.Error {
	m := t.nodes.Metadata()
	e := &processor.Error{Phase: phase, Node: node, Topic: m.Topic, Partition: m.Partition, Offset: m.Offset, Err: cause}
	if in := t.input(); in != nil {
		e.Key, e.Value = in.Key, in.Value
	}
	return e
}

// input returns the record that is being processed, or the record that a flush names, or
// nil.
func (t *Task) input() *graph.Input {
	if t.current != nil {
		return t.current
	}
	return t.originInput
}

// decide asks the policy.
func (t *Task) decide(e *processor.Error) (action processor.Action) { return decide(&t.cfg.Policy, e) }

// decide asks a policy what to do about an error. If a handler panics, or returns an
// unknown action, the action is Fail, and the error says so.
func decide(p *processor.ErrorPolicy, e *processor.Error) (action processor.Action) {
	if p.Handle == nil {
		return [...]processor.Action{processor.Decode: p.Decode, processor.Process: p.Process, processor.Produce: p.Produce}[e.Phase]
	}
	defer func() {
		if v := recover(); v != nil {
			e.Err = errors.Join(e.Err, fmt.Errorf("ErrorPolicy.Handle: %w", panicError(v)))
			action = processor.Fail
		}
	}()
	if action = p.Handle(e); action < processor.Fail || action > processor.Retry {
		e.Err = errors.Join(e.Err, fmt.Errorf("ErrorPolicy.Handle returned %v, which is not an action", action))
		return processor.Fail
	}
	return action
}

// act carries out an action other than Retry. It returns the task's failure. An error
// about another row than that of the record drops no record; see graph.OtherRow.
func (t *Task) act(action processor.Action, n *graph.Node, e *processor.Error) error {
	other := graph.IsOtherRow(e.Err)
	if other && action == processor.DeadLetter {
		action = processor.Skip
	}
	switch action {
	case processor.Skip:
		t.observe(e, action)
	case processor.DeadLetter:
		if t.cfg.Policy.DeadLetterTopic == "" {
			e.Err = fmt.Errorf("%w (and the error policy has no DeadLetterTopic: set it)", e.Err)
			return t.act(processor.Fail, n, e)
		}
		t.observe(e, action)
		if err := t.deadLetter(e); err != nil {
			return t.fail(err)
		}
	default:
		t.observe(e, processor.Fail)
		return t.fail(e)
	}
	if !other {
		t.drop(n.Name, "error in "+e.Phase.String(), t.nodes.Metadata())
	}
	return nil
}

func (t *Task) observe(e *processor.Error, action processor.Action) {
	level, attributes := slog.LevelWarn, []any{"action", action.String(), "node", e.Node, "phase", e.Phase.String(),
		"topic", e.Topic, "partition", e.Partition, "offset", e.Offset, "error", e.Err}
	if action == processor.Fail {
		level = slog.LevelError
		var panicked *processor.PanicError
		if errors.As(e.Err, &panicked) {
			// Log the stack once, because the same panic may happen at every record.
			attributes = append(attributes, "stack", string(panicked.Stack))
		}
	}
	t.logger.Log(t.ctx, level, "error in the topology", attributes...)
	if t.cfg.Observer != nil {
		t.cfg.Observer.Errored(e, action)
	}
}

// retry repeats what failed: in place if it has no effects besides its result, otherwise
// by a replay of the task. If a topic's configuration excludes a record, it is not
// repeated.
func (t *Task) retry(n *graph.Node, e *processor.Error, again func() error) (ok bool, failure error) {
	var large *TooLargeError
	var unfit *UnfitError
	if errors.As(e.Err, &large) || errors.As(e.Err, &unfit) {
		return false, t.act(t.exhausted(), n, e)
	}
	if again == nil || len(n.Stores) > 0 {
		return false, t.replay(n, e, t.place(n))
	}
	for attempt := range t.retries() {
		t.observe(e, processor.Retry)
		if err := t.backoff(attempt); err != nil {
			return false, t.fail(e)
		}
		if e.Err = (hook{f: again}).call(); e.Err == nil {
			return true, nil
		}
		if t.failure != nil {
			return false, t.failure
		}
		if t.ended(e.Err) {
			return false, t.fail(e)
		}
		var effects bool
		if e.Err, effects = graph.HasEffects(e.Err); effects {
			return false, t.replay(n, e, t.place(n))
		}
	}
	return false, t.act(t.exhausted(), n, e)
}

// replay makes the task fail with a ReplayError, unless the place has used up its
// retries.
func (t *Task) replay(n *graph.Node, e *processor.Error, p place) error {
	attempt := t.cfg.Memory.attempts(p)
	if !t.cfg.Memory.again(p, t.retries()) {
		return t.act(t.exhausted(), n, e)
	}
	t.observe(e, processor.Retry)
	if err := t.backoff(attempt); err != nil {
		return t.fail(e)
	}
	return t.fail(&ReplayError{e})
}

// place returns the present place: a record or a call. The record of a flush is not part
// of it, because a replay may merge updates differently.
func (t *Task) place(n *graph.Node) place {
	if t.current == nil {
		return place{partition: -1, offset: -1, call: t.call, node: n.Name}
	}
	return placeOf(t.nodes.Metadata(), n)
}

// called notes a call that the next commit will settle.
func (t *Task) called(call string) {
	if t.cfg.Memory.remembers() && !slices.Contains(t.calls, call) {
		t.calls = append(t.calls, call)
	}
}

func (t *Task) retries() int { return retries(&t.cfg.Policy) }

// retries returns how often a policy retries.
func retries(p *processor.ErrorPolicy) int {
	if p.Retries > 0 {
		return p.Retries
	}
	return defaultRetries
}

func (t *Task) exhausted() processor.Action { return exhausted(&t.cfg.Policy) }

// exhausted returns the action of a policy when all retries have failed.
func exhausted(p *processor.ErrorPolicy) processor.Action {
	if a := p.Exhausted; a != processor.Retry {
		return a
	}
	return processor.Fail
}

// backoff waits before the retry number attempt, counted from 0.
func (t *Task) backoff(attempt int) error {
	if t.cfg.Sleep == nil {
		return nil
	}
	return t.cfg.Sleep(t.ctx, pause(&t.cfg.Policy, attempt))
}

// pause returns the pause of a policy before the retry number attempt, counted from 0.
func pause(p *processor.ErrorPolicy, attempt int) time.Duration {
	d := p.RetryBackoff
	if d <= 0 {
		d = defaultBackoff
	}
	const most = 10 // doublings, so that the pause cannot overflow
	return d << min(attempt, most)
}

// drop counts a dropped record.
func (t *Task) drop(node, reason string, record processor.Metadata) {
	t.dropped[reason]++
	if t.cfg.Observer != nil {
		t.cfg.Observer.Dropped(node, reason, record)
	}
}
