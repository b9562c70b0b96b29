package batch

import (
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// counter is the processor that merges the partial results of an Every, and closes its
// batches.
type counter struct {
	e        *every
	progress state.Spec[[]byte, []byte]

	ctx        wire.Context
	marks      *closing.Watermarks
	aggregates map[string]counting
	closers    *closing.Closers
}

func (t *counter) Init(ctx wire.Context) (err error) {
	t.ctx = ctx
	if t.marks, err = closing.Open(t.e.name, t.e.name, state.Open(ctx, t.progress)); err != nil {
		return err
	}
	t.aggregates = make(map[string]counting)
	var steps []closing.Step
	for _, a := range t.e.aggregates {
		c, err := a.open(t)
		if err != nil {
			return err
		}
		t.aggregates[a.header().fullName()] = c
		steps = append(steps, c.steps()...)
	}
	if t.e.gathers() {
		steps = append(steps, closing.Step{Name: "gather", Durable: true, Run: t.announce})
	}
	one, err := closing.NewCloser(t.marks, steps)
	if err != nil {
		return err
	}
	for _, a := range t.e.aggregates {
		if err := t.aggregates[a.header().fullName()].check(one); err != nil {
			return err
		}
	}
	t.closers = closing.Start(ctx, t.e.plan.chunk, t.finished, one)
	return nil
}

func (t *counter) Process(ctx wire.Context, r wire.Record) error {
	m := r.Value
	switch m.Kind {
	case wire.Partial:
		return t.merge(r.Key, m)
	case wire.Marker:
		if err := t.marks.Mark(m); err != nil {
			return err
		}
		return t.closers.Work(ctx)
	}
	return fmt.Errorf("batch: Every %q: a message of kind %q, which does not belong here", t.e.name, m.Kind)
}

func (t *counter) merge(key []byte, m wire.Message) error {
	a := t.aggregates[m.Name]
	switch {
	case a == nil:
		t.ctx.Drop("the aggregation is not there any more")
		return nil
	case m.To <= t.marks.Done() || t.closers.Closing(m.To):
		t.ctx.Drop("the batch is closed")
		return nil
	}
	return a.merge(m.Span, key, m.Payload)
}

// finished logs the time without batches before a batch. All counting tasks know of it, and
// one of them logs it.
func (t *counter) finished(b wire.Span, before int64) {
	if before > 0 && b.From > before && t.ctx.Task().Partition == 0 {
		t.ctx.Logger().Info("nothing ran, so there are no batches", "every", t.e.name, "from", time.UnixMilli(before).UTC(), "to", b.Start())
	}
}

// Flush ends the share of a transaction.
func (t *counter) Flush(wire.Context) error {
	t.closers.Committing()
	return nil
}

// owns reports whether this task is the one to which a key belongs.
func (t *counter) owns(key []byte) bool {
	task := t.ctx.Task()
	return serde.Partition(key, task.Partitions) == task.Partition
}

// announce tells the gather task that it has all that this one has of a batch.
func (t *counter) announce(b wire.Span, _ []byte, _ *int) ([]byte, bool, error) {
	task := t.ctx.Task()
	b.Live = true
	t.gather([]byte(t.e.name), wire.Message{Kind: wire.Marker, Name: t.e.name, Span: b, Task: task.Partition, Of: task.Partitions})
	return nil, true, nil
}

// gather sends a message to the gather task.
func (t *counter) gather(key []byte, m wire.Message) {
	t.ctx.ForwardTo(t.e.gatherName(), wire.Record{Key: key, Value: m, Timestamp: processor.Timestamp(m.To)})
}
