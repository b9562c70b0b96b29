package worker

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/txn"
)

// settle sends the records that the producer has held back. It passes each refused record
// to the task that sent it. If that task fails for it, settle returns the task and its
// error.
func (w *Worker) settle() (t *Task, failure error) {
	if w.producer == nil {
		return nil, nil
	}
	failure = w.producer.Settle(w.ctx, func(r *kgo.Record, err error) (again bool, failure error) {
		from := w.outputs.origin(r)
		if from == nil {
			return false, err
		}
		t = from.task
		w.watch.begin(t, time.Now())
		defer w.watch.end()
		out, failure := t.run.Refused(task.Refusal{
			Out: from.output(r), From: from.from, Input: from.input, Tries: int(from.tries),
			Err: err, Gone: txn.IsAboutTopic(err),
		})
		if failure != nil || out == nil {
			return false, failure
		}
		from.tries++
		partition := r.Partition // the other records of the partition wait for this one
		*r = RecordOf(out)
		r.Partition = partition
		return true, nil
	})
	return t, failure
}

// settled is settle for a commit. If it returns false, the commit is off.
func (w *Worker) settled() bool {
	t, err := w.settle()
	if err == nil {
		return true
	}
	w.taskFailed(t, err)
	return false
}

// distrust reacts to a refused record in a transaction. It reports whether a new producer
// is needed.
//
// If the record was refused because of its size, the topic's limit may have become
// smaller. distrust then looks it up, for the batches of the next producer and for the
// records of the replay.
func (w *Worker) distrust(refused *txn.RefusedError) (renew bool) {
	w.caution.Distrust()
	if !errors.Is(refused, kerr.MessageTooLarge) && !errors.Is(refused, kerr.RecordListTooLarge) {
		return false
	}
	before := w.cfg.Topics.Limits(refused.Topic).MaxBytes
	if err := w.refresh(refused.Topic); err != nil {
		w.cfg.Logger.Warn("cannot read the size limit of a topic that refused a batch",
			"topic", refused.Topic, "error", err)
		return false
	}
	now := w.cfg.Topics.Limits(refused.Topic).MaxBytes
	if now == before {
		return false
	}
	w.cfg.Logger.Warn("the size limit of a topic has changed; batches now keep to the new limit",
		"topic", refused.Topic, "before", before, "now", now)
	return true
}

// pace bounds the size of transactions while refused records are searched for.
type pace struct {
	most int64 // input records of a transaction; 0: no bound
	done int64 // of the open one
}

// cautiousBatch is the number of records that are processed between two calls of settle.
const cautiousBatch = 256

// slow makes the next transactions smaller, because the last one took too long.
func (p *pace) slow() {
	const shrink = 8
	if p.most == 0 {
		p.most = max(p.done, 1)
	}
	p.most, p.done = max(p.most/shrink, 1), 0
}

// committed lets the next transaction be larger.
func (p *pace) committed() {
	if p.done = 0; p.most == 0 {
		return
	}
	const enough = 1 << 16
	if p.most *= 2; p.most > enough {
		p.most = 0
	}
}

// left returns how many records the transaction may still process, or -1 for no bound.
func (p *pace) left() int64 {
	if p.most == 0 {
		return -1
	}
	return max(p.most-p.done, 0)
}

// limit bounds the records of one call of Process.
func (w *Worker) limit(n int) int {
	if w.caution.Any() {
		n = min(n, cautiousBatch)
	}
	if left := w.pace.left(); left >= 0 && w.last == nil {
		n = min(n, int(left))
	}
	return n
}
