package worker

import (
	"context"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/processor"
)

var _ task.Outbox = (*outbox)(nil)

// outbox sends the outputs of one task.
type outbox struct {
	w *Worker
	t *Task

	// last are the topics that were looked up last, with their limits. Most tasks write
	// many records to few topics.
	last [8]topicLimits
	next int // index in last of the entry to replace
}

type topicLimits struct {
	topic  string
	limits *task.Limits
}

// Send implements task.Outbox.
func (o *outbox) Send(out graph.Output, from processor.Metadata) error {
	r := o.w.outputs.add(&out)
	if o.w.producer.Cautious(out.Topic) {
		o.w.outputs.note(r, &origin{task: o.t, node: out.Node, from: from, input: o.t.run.Input(), partition: out.Partition})
	}
	o.w.producer.Produce(r)
	return nil
}

// lookups is the share of the transaction timeout that one lookup of a topic may take.
const lookups = 4

// Partitions implements task.Outbox. A share of the transaction timeout bounds the
// request to Kafka, and the worker's context can end it.
func (o *outbox) Partitions(topic string) (int32, error) {
	ctx, cancel := context.WithTimeout(o.w.ctx, o.w.cfg.TransactionTimeout/lookups)
	defer cancel()
	return o.w.cfg.Topics.Partitions(ctx, topic)
}

// Cautious implements task.Outbox.
func (o *outbox) Cautious(topic string) bool { return o.w.producer.Cautious(topic) }

// Limits implements task.Outbox. If the size limit of the topic is not known, the limit
// is the client's.
func (o *outbox) Limits(topic string, fresh bool) *task.Limits {
	if fresh {
		o.w.lookAgain(topic)
		clear(o.last[:])
	}
	for i := range o.last {
		if l := &o.last[i]; l.topic == topic && l.limits != nil {
			return l.limits
		}
	}
	limits := *o.w.cfg.Topics.Limits(topic)
	if limits.MaxBytes == 0 {
		limits.MaxBytes = txn.UsualBatch
	}
	o.last[o.next] = topicLimits{topic, &limits}
	o.next = (o.next + 1) % len(o.last)
	return &limits
}

// Oversized implements task.Outbox. If the limit of the topic is not known, no record is
// too large: the broker decides.
func (o *outbox) Oversized(out graph.Output) int {
	limit, size := o.w.cfg.Topics.Limits(out.Topic).MaxBytes, 0
	if limit > 0 {
		r := RecordOf(&out)
		size = o.w.producer.Compressed(&r)
	}
	if size <= limit {
		o.w.producer.Widen(out.Topic)
	}
	return size
}

// lookEvery is the shortest time between two lookups of a topic because a record does not
// fit it.
const lookEvery = 10 * time.Second

// lookAgain reads a topic's configuration again, unless it has just been read.
func (w *Worker) lookAgain(topic string) {
	now := time.Now()
	if last, ok := w.looked[topic]; ok && now.Sub(last) < lookEvery {
		return
	}
	if w.looked == nil {
		w.looked = map[string]time.Time{}
	}
	w.looked[topic] = now
	if err := w.refresh(topic); err != nil {
		w.cfg.Logger.Warn("cannot read the configuration of a topic", "topic", topic, "error", err)
	}
}

// refresh reads a topic's configuration again.
func (w *Worker) refresh(topic string) error {
	ctx, cancel := context.WithTimeout(w.ctx, w.cfg.TransactionTimeout/lookups)
	defer cancel()
	return w.cfg.Topics.Refresh(ctx, topic)
}
