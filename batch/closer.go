package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
)

// step is a part of what is done when a batch is complete. It goes over rows in order of
// their keys, and can stop after any of them.
type step struct {
	name string

	// durable says that what run has done need not be done again after a crash: it goes
	// on at the cursor. A step that is not only computes in memory until it is done, and
	// starts again.
	durable bool

	// run does what comes after the cursor, nil at first, for up to *budget rows, which
	// it counts down, and returns the cursor for the next call. After an error the cursor
	// lies behind what has failed: it is left out if the error policy says so.
	run func(b wire.Span, cursor []byte, budget *int) (next []byte, done bool, err error)
}

// closer does the steps for one batch after the other of one Every, in several
// transactions if there is much to do.
type closer struct {
	marks *watermarks
	steps []step

	active bool
	batch  wire.Span
	at     int
	cursor []byte
}

// The row of a closer is [8B start][8B end] of the batch, [1B length][name] of the step,
// and [1B 1][cursor], or [1B 0] if there is none.

// openCloser reads where the last commit left off.
func openCloser(marks *watermarks, steps []step) (*closer, error) {
	c := &closer{marks: marks, steps: steps}
	row, ok, err := marks.store.Get(marks.row(rowCursor))
	if err != nil || !ok {
		return c, err
	}
	if len(row) < 18 || len(row) < 18+int(row[16]) {
		return nil, fmt.Errorf("store %s: the cursor of %s is not readable", marks.store.Name(), marks.every)
	}
	c.active = true
	c.batch = wire.Span{From: int64(binary.BigEndian.Uint64(row)), To: int64(binary.BigEndian.Uint64(row[8:])), Live: true}
	name := string(row[17 : 17+int(row[16])])
	if c.at = slices.IndexFunc(steps, func(s step) bool { return s.name == name }); c.at >= 0 {
		if row = row[17+len(name):]; row[0] == 1 {
			c.cursor = row[1:]
		}
		return c, nil
	}
	// The step is not there any more, and with it its output: what comes after it cannot
	// be told from what came before.
	c.at = len(steps)
	return c, nil
}

// ended stands for the end of all steps; no step has the name.
const ended = ""

// save writes where the work has got to.
func (c *closer) save() error {
	s := step{name: ended, durable: true}
	if c.at < len(c.steps) {
		s = c.steps[c.at]
	}
	row := append(wire.BE64(c.batch.From), wire.BE64(c.batch.To)...)
	row = append(row, byte(len(s.name)))
	row = append(row, s.name...)
	if !s.durable || c.cursor == nil {
		row = append(row, 0)
	} else {
		row = append(append(row, 1), c.cursor...)
	}
	return c.marks.store.Put(c.marks.row(rowCursor), row)
}

// work does what can be done for *budget rows, and tells of each batch that is finished,
// with the end of the one before. more says that there is something left to do.
func (c *closer) work(budget *int, finished func(b wire.Span, before int64)) (more bool, err error) {
	for {
		if !c.active {
			b, ok := c.marks.next()
			if !ok {
				return false, nil
			}
			c.active, c.batch, c.at, c.cursor = true, b, 0, nil
		}
		for c.at < len(c.steps) {
			var done bool
			c.cursor, done, err = c.steps[c.at].run(c.batch, c.cursor, budget)
			if done {
				c.at, c.cursor = c.at+1, nil
			}
			if err != nil || !done {
				return true, errors.Join(err, c.save())
			}
		}
		before := c.marks.done
		if err := c.end(); err != nil {
			return true, err
		}
		finished(c.batch, before)
	}
}

func (c *closer) end() error {
	c.active, c.cursor = false, nil
	if _, _, err := c.marks.store.Delete(c.marks.row(rowCursor)); err != nil {
		return err
	}
	return c.marks.finish()
}

// closers are the closers of one task. Together they do at most chunk rows in one
// transaction.
type closers struct {
	all      []*closer
	chunk    int
	budget   int
	schedule processor.Schedule // while there is something left to do
}

// defaultChunk is how many rows a task reads or writes for closed batches in one
// transaction: so many that a transaction takes well under a second.
const defaultChunk = 20_000

// work goes on with what is to be done. What is left is done after the next commits.
func (c *closers) work(ctx wire.Context, finished func(c *closer, b wire.Span, before int64)) error {
	var left bool
	var errs []error
	for _, one := range c.all {
		more, err := one.work(&c.budget, func(b wire.Span, before int64) {
			ctx.Commit()
			finished(one, b, before)
		})
		left = left || more
		errs = append(errs, err)
	}
	switch {
	case left && c.schedule == nil:
		c.schedule = ctx.Every(time.Millisecond, processor.WallClock, func(ctx wire.Context, _ time.Time) error { return c.work(ctx, finished) })
		ctx.Commit()
	case left:
		ctx.Commit()
	case c.schedule != nil:
		c.schedule.Cancel()
		c.schedule = nil
	}
	return errors.Join(errs...)
}

// closing reports whether the batch that ends at to is being closed.
func (c *closers) closing(to int64) bool {
	return slices.ContainsFunc(c.all, func(one *closer) bool { return one.active && one.batch.To >= to })
}

// committing starts the next transaction.
func (c *closers) committing() { c.budget = c.chunk }

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// safely calls what may be the user's. A panic must not get past what keeps the cursor.
func safely(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &processor.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}
