package count

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// Config describes the counting tasks of an Every.
type Config struct {
	Every        string // names the Every and the store of its watermarks
	Aggregations []Counted
	Chunk        int // see closing.Start

	// Gather is the child node that leads to the gather task, empty if nothing is
	// gathered.
	Gather string

	progress state.Spec[[]byte, []byte]
}

// Specs returns the specs of all stores. Names must be settled.
func (c *Config) Specs() []processor.StoreSpec {
	c.progress = state.KeyValue(c.Every, serde.Bytes, serde.Bytes)
	specs := []processor.StoreSpec{c.progress}
	for _, a := range c.Aggregations {
		specs = append(specs, a.specs()...)
	}
	return specs
}

// Counter is the processor that merges the partial results of an Every, and closes its
// batches.
type Counter struct {
	*Config
	ctx       wire.Context
	marks     *closing.Watermarks
	instances map[string]instance // by name
	closers   *closing.Closers
}

// New returns the counter of one task.
func New(c *Config) *Counter { return &Counter{Config: c} }

// Init opens the stores. The work that the last commit left begins soon.
func (t *Counter) Init(ctx wire.Context) (err error) {
	t.ctx = ctx
	if t.marks, err = closing.Open(t.Every, t.Every, state.Open(ctx, t.progress)); err != nil {
		return err
	}
	steps, err := t.open()
	if err != nil {
		return err
	}
	one, err := closing.NewCloser(t.marks, steps)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(t.instances)) {
		if err := t.instances[name].check(one.At); err != nil {
			return err
		}
	}
	t.closers = closing.Start(ctx, t.Chunk, t.finished, one)
	return nil
}

// open opens the aggregations, and returns the work on a complete batch.
func (t *Counter) open() (steps []closing.Step, err error) {
	t.instances = make(map[string]instance)
	for _, a := range t.Aggregations {
		i, err := a.open(t.ctx, t.marks)
		if err != nil {
			return nil, err
		}
		t.instances[i.name()] = i
		steps = append(steps, i.steps()...)
	}
	if t.Gather != "" {
		steps = append(steps, closing.Step{Name: "gather", Durable: true, Run: t.announce})
	}
	return steps, nil
}

// Process takes a partial result or a marker.
func (t *Counter) Process(ctx wire.Context, r wire.Record) error {
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
	return fmt.Errorf("batch: Every %q: a counting task got a message of kind %q", t.Every, m.Kind)
}

func (t *Counter) merge(key []byte, m wire.Message) error {
	i := t.instances[m.Name]
	switch {
	case i == nil:
		t.ctx.Drop("the aggregation is not there any more")
		return nil
	case m.To <= t.marks.Done() || t.closers.Closing(m.To):
		t.ctx.Drop("the batch is closed")
		return nil
	}
	return i.merge(m.Span, key, m.Payload)
}

// Patient implements [processor.Patient]: nobody waits for the rows of an open batch. The
// closers ask for commits.
func (t *Counter) Patient() bool { return true }

// Flush ends the share of a transaction.
func (t *Counter) Flush(wire.Context) error {
	t.closers.Committing()
	return nil
}

// announce sends the marker of a batch to the gather task: all rows that this task has of
// the batch precede it.
func (t *Counter) announce(b wire.Span, _ []byte, _ *int) ([]byte, bool, error) {
	task := t.ctx.Task()
	b.Live = true
	marker := wire.Message{Kind: wire.Marker, Name: t.Every, Span: b, Task: task.Partition, Of: task.Partitions}
	wire.Send(t.ctx, t.Gather, []byte(t.Every), marker)
	return nil, true, nil
}

// finished logs the time without batches before a batch. All counting tasks know of it,
// and one of them logs it.
func (t *Counter) finished(b wire.Span, before int64) {
	if before > 0 && b.From > before && t.ctx.Task().Partition == 0 {
		t.ctx.Logger().Info("nothing ran, so there are no batches",
			"every", t.Every, "from", time.UnixMilli(before).UTC(), "to", b.Start())
	}
}
