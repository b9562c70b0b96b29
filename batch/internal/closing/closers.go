package closing

import (
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
)

// Closers are the closers of one task. Together they handle at most chunk rows in one
// transaction.
type Closers struct {
	all      []*Closer
	finished Finished
	chunk    int
	budget   int
	schedule processor.Schedule // while something is left to do
}

// DefaultChunk is the default of chunk, see [Start]. With it, a transaction takes well
// under a second.
const DefaultChunk = 20_000

// Start returns the closers of a task. chunk is the number of rows that they read or
// write for complete batches in one transaction. They soon go on with the work that the
// last commit left. finished may be nil.
func Start(ctx wire.Context, chunk int, finished Finished, all ...*Closer) *Closers {
	c := &Closers{all: all, finished: finished, chunk: chunk, budget: chunk}
	wire.Once(ctx, c.Work)
	return c
}

// Work does the work that the transaction has room for. The rest follows after the next
// commits.
func (c *Closers) Work(ctx wire.Context) error {
	var left bool
	var errs []error
	for _, one := range c.all {
		more, err := one.work(&c.budget, func(b wire.Span, before int64) {
			ctx.Commit()
			if c.finished != nil {
				c.finished(b, before)
			}
		})
		left = left || more
		errs = append(errs, err)
	}
	switch {
	case left && c.schedule == nil:
		again := func(ctx wire.Context, _ time.Time) error { return c.Work(ctx) }
		c.schedule = ctx.Every(time.Millisecond, processor.WallClock, again)
		ctx.Commit()
	case left:
		ctx.Commit()
	case c.schedule != nil:
		c.schedule.Cancel()
		c.schedule = nil
	}
	return errors.Join(errs...)
}

// Closing reports whether the batch that ends at to is being closed.
func (c *Closers) Closing(to int64) bool {
	return slices.ContainsFunc(c.all, func(one *Closer) bool { return one.active && one.batch.To >= to })
}

// Committing starts the next transaction.
func (c *Closers) Committing() { c.budget = c.chunk }

// Safely calls f, which may run user code. It returns a panic as an error: a panic must
// not get past the code that keeps the cursor.
func Safely(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &processor.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}
