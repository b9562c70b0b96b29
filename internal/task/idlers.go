package task

import (
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
)

// idler is a node that is told when its inputs are idle.
type idler struct {
	node  *graph.Node
	after time.Duration
	f     func(graph.Idle) (worked bool, err error)

	queues []*queue // that feed the node
}

func (t *Task) onIdle(n *graph.Node, after time.Duration, f func(graph.Idle) (bool, error)) {
	t.idlers = append(t.idlers, &idler{node: n, after: after, f: f})
}

// linkIdlers finds the queues of the idlers, once the queues have their nodes.
func (t *Task) linkIdlers() {
	slices.SortStableFunc(t.idlers, func(a, b *idler) int { return a.node.ID - b.node.ID })
	for _, i := range t.idlers {
		for _, q := range t.queues {
			if feeds(q.node, i.node) {
				i.queues = append(i.queues, q)
				q.watched = true
			}
		}
	}
}

// feeds reports whether records of a source reach a node within the task.
func feeds(source, n *graph.Node) bool {
	return n == source || slices.ContainsFunc(n.Parents, func(p *graph.Node) bool { return feeds(source, p) })
}

// Confirm says that a partition of the input ended at the given offset when Kafka was
// asked, and that it was asked at the given time. end is the high watermark: a record of
// an open transaction is not processed yet, but it is on its way.
//
// The partition is idle while confirmations say that the task has processed all its
// records. Any record ends the idle time, and so does Unconfirmed.
func (t *Task) Confirm(topic string, partition int32, end int64, at time.Time) {
	q := t.byName[Partition{topic, partition}]
	switch {
	case q == nil:
	case !q.empty() || q.next < end || q.next < 0:
		q.idle = graph.Idle{}
	case q.idle.Since.IsZero():
		q.idle = graph.Idle{Since: at, Until: at}
	default:
		q.idle.Until = at
	}
}

// Unconfirmed says that Kafka could not be asked where a partition ends.
func (t *Task) Unconfirmed(topic string, partition int32) {
	if q := t.byName[Partition{topic, partition}]; q != nil {
		q.idle = graph.Idle{}
	}
}

// AppendQuiet appends the input partitions for which the task needs confirmations: those
// that feed an idler and seem to be at their end.
func (t *Task) AppendQuiet(dst []Partition) []Partition {
	if len(t.idlers) == 0 {
		return dst
	}
	for _, q := range t.queues {
		if q.watched && q.empty() && !q.lags() {
			dst = append(dst, Partition{q.topic, q.partition})
		}
	}
	return dst
}

// idleCall names, for the Memory, a call of an idler.
const idleCall = "idle"

// PassIdle tells the idlers for how long their inputs have been idle. n says how many of
// them have done something that must be committed.
func (t *Task) PassIdle(now time.Time) (n int, err error) {
	if err := t.over(); err != nil {
		return 0, err
	}
	defer t.contain(&err)
	for _, i := range t.idlers {
		idle, ok := i.idle()
		if !ok {
			continue
		}
		worked, err := t.passIdle(i, idle, now)
		if worked {
			t.dirty, t.awaited = true, true
			n++
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (t *Task) passIdle(i *idler, idle graph.Idle, now time.Time) (worked bool, err error) {
	t.now, t.current, t.eventTime, t.call = now, nil, t.timeBetweenRecords(), idleCall
	defer func() { t.call = "" }()
	err = hook{f: func() (err error) {
		worked, err = i.f(idle)
		return err
	}}.call()
	if err != nil || t.failure != nil {
		if err = t.failOutside(i.node, err); err != nil {
			return worked, err
		}
	}
	if worked {
		t.called(idleCall)
	}
	return worked, nil
}

// idle returns the time for which all inputs of the idler have been idle. ok is false if
// it is too short.
func (i *idler) idle() (idle graph.Idle, ok bool) {
	for n, q := range i.queues {
		switch {
		case q.idle.Since.IsZero():
			return idle, false
		case n == 0:
			idle = q.idle
			continue
		}
		if q.idle.Since.After(idle.Since) {
			idle.Since = q.idle.Since
		}
		if q.idle.Until.Before(idle.Until) {
			idle.Until = q.idle.Until
		}
	}
	return idle, len(i.queues) > 0 && idle.Until.Sub(idle.Since) >= i.after
}
