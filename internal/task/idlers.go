package task

import (
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
)

// idler is a node that is told when its inputs are idle.
type idler struct {
	node *graph.Node
	f    func(graph.Idle) (worked bool, err error)

	queues []*queue   // that feed the node
	told   graph.Idle // by the last call
}

func (t *Task) onIdle(n *graph.Node, f func(graph.Idle) (bool, error)) {
	t.idlers = append(t.idlers, &idler{node: n, f: f})
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

// Confirm says that Kafka was asked at the given time where a partition of the input
// ends, and that the answer was end, the high watermark: a record of an open transaction
// is not processed yet, but it is on its way. next is the position up to which the shell
// had fetched the partition before it asked.
//
// The partition is idle while confirmations say that the task has processed all its
// records. Any record ends the idle time, also one that has come between the question and
// the answer. So does Unconfirmed.
func (t *Task) Confirm(topic string, partition int32, next, end int64, at time.Time) {
	q := t.byName[Partition{topic, partition}]
	switch {
	case q == nil:
	case !q.empty() || q.next != next || q.next < end || q.next < 0:
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

// Quiet reports whether the task needs confirmations for an input partition: it feeds an
// idler, and seems to be at its end.
func (t *Task) Quiet(topic string, partition int32) bool {
	q := t.byName[Partition{topic, partition}]
	return q != nil && q.watched && q.empty() && !q.lags()
}

// idleCall names, for the Memory, a call of an idler.
const idleCall = "idle"

// PassIdle tells the idlers for how long their inputs have been idle. n says how many of
// them have done something that must be committed.
//
// Until the records that were processed last are committed, it does nothing: nodes in
// front of an idler may hold updates back until then.
func (t *Task) PassIdle(now time.Time) (n int, err error) {
	if err := t.over(); err != nil {
		return 0, err
	}
	defer t.contain(&err)
	if t.unflushed {
		return 0, nil
	}
	for _, i := range t.idlers {
		idle := i.idle()
		if idle.Since.IsZero() || idle == i.told {
			continue
		}
		i.told = idle
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

// idle returns the time for which all inputs of the idler have been idle. It is zero if
// one of them is not.
func (i *idler) idle() (idle graph.Idle) {
	for n, q := range i.queues {
		switch {
		case q.idle.Since.IsZero():
			return graph.Idle{}
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
	return idle
}
