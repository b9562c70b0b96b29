package batch

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// counter is the processor that merges the partial results of an Every, and closes its
// batches.
type counter struct {
	e        *every
	progress state.Spec[[]byte, []byte]

	ctx        context
	marks      *watermarks
	aggregates map[string]counting
	closers    closers
}

func (t *counter) Init(ctx context) (err error) {
	t.ctx = ctx
	if t.marks, err = openWatermarks(t.e.name, state.Open(ctx, t.progress)); err != nil {
		return err
	}
	t.aggregates = make(map[string]counting)
	var steps []step
	for _, a := range t.e.aggregates {
		c, err := a.open(t)
		if err != nil {
			return err
		}
		t.aggregates[a.header().fullName()] = c
		steps = append(steps, c.steps()...)
	}
	if t.e.gathers() {
		steps = append(steps, step{"gather", true, t.announce})
	}
	one, err := openCloser(t.marks, steps)
	if err != nil {
		return err
	}
	for _, a := range t.e.aggregates {
		if err := t.aggregates[a.header().fullName()].check(one); err != nil {
			return err
		}
	}
	t.closers = closers{all: []*closer{one}, chunk: t.e.plan.chunk, budget: t.e.plan.chunk}
	once(ctx, t.work) // what the last commit left undone
	return nil
}

func (t *counter) Process(ctx context, r processor.Record[[]byte, message]) error {
	m := r.Value
	switch m.kind {
	case partial:
		return t.merge(r.Key, m)
	case marker:
		if err := t.marks.mark(m); err != nil {
			return err
		}
		return t.work(ctx)
	}
	return fmt.Errorf("batch: Every %q: a message of kind %q, which does not belong here", t.e.name, m.kind)
}

func (t *counter) merge(key []byte, m message) error {
	a := t.aggregates[m.name]
	switch {
	case a == nil:
		t.ctx.Drop("the aggregation is not there any more")
		return nil
	case m.to <= t.marks.done || t.closers.closing(m.to):
		t.ctx.Drop("the batch is closed")
		return nil
	}
	return a.merge(m.span, key, m.payload)
}

func (t *counter) work(ctx context) error {
	return t.closers.work(ctx, func(_ *closer, b span, before int64) {
		if before > 0 && b.from > before && ctx.Task().Partition == 0 {
			ctx.Logger().Info("nothing ran, so there are no batches", "every", t.e.name, "from", time.UnixMilli(before).UTC(), "to", time.UnixMilli(b.from).UTC())
		}
	})
}

// Flush ends the share of a transaction.
func (t *counter) Flush(context) error {
	t.closers.committing()
	return nil
}

// owns reports whether this task is the one to which a key belongs.
func (t *counter) owns(key []byte) bool {
	task := t.ctx.Task()
	return serde.Partition(key, task.Partitions) == task.Partition
}

// announce tells the gather task that it has all that this one has of a batch.
func (t *counter) announce(b span, _ []byte, _ *int) ([]byte, bool, error) {
	task := t.ctx.Task()
	b.live = true
	t.gather([]byte(t.e.name), message{kind: marker, name: t.e.name, span: b, task: task.Partition, of: task.Partitions})
	return nil, true, nil
}

// gather sends a message to the gather task.
func (t *counter) gather(key []byte, m message) {
	t.ctx.ForwardTo(t.e.gatherName(), processor.Record[[]byte, message]{Key: key, Value: m, Timestamp: processor.Timestamp(m.to)})
}
