package closing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/batch/internal/wire"
)

// Step is a part of the work on a complete batch.
type Step struct {
	Name string

	// Durable says that the effects of Run last: after a crash the step continues at the
	// cursor. A step that is not durable only computes in memory until it is done, and
	// starts again.
	Durable bool

	Run Run
}

// Run goes over rows in order of their keys, and can stop after any of them.
//
// It does what comes after the cursor, which is nil at first, for up to *budget rows, and
// counts them down. It returns the cursor for the next call.
//
// After an error, the cursor lies behind the row that failed. If the error policy lets
// the task continue, the batch continues without that row.
type Run func(b wire.Span, cursor []byte, budget *int) (next []byte, done bool, err error)

// Finished is called for a batch that is done. before is the end of the batch done before
// it, 0 for the first.
type Finished func(b wire.Span, before int64)

// Closer closes the batches of one Every, one after the other: it does the steps of each
// batch in order. If there is much to do, a batch takes several transactions.
type Closer struct {
	marks *Watermarks
	steps []Step

	active bool // a batch is being closed
	batch  wire.Span
	at     int // index of the step
	cursor []byte
}

// The row of a closer is [8B start][8B end] of the batch, [1B length][name] of the step,
// and [1B 1][cursor], or [1B 0] without a cursor.

// NewCloser reads where the last commit left off.
func NewCloser(marks *Watermarks, steps []Step) (*Closer, error) {
	c := &Closer{marks: marks, steps: steps}
	row, ok, err := marks.store.Get(marks.row(rowCursor))
	if err != nil || !ok {
		return c, err
	}
	if len(row) < 18 || len(row) < 18+int(row[16]) {
		return nil, fmt.Errorf("store %s: the cursor of Every %q cannot be read", marks.store.Name(), marks.every)
	}
	c.active = true
	from, to := int64(binary.BigEndian.Uint64(row)), int64(binary.BigEndian.Uint64(row[8:]))
	c.batch = wire.Span{From: from, To: to, Live: true}
	name := string(row[17 : 17+int(row[16])])
	if c.at = slices.IndexFunc(steps, func(s Step) bool { return s.Name == name }); c.at >= 0 {
		if row = row[17+len(name):]; row[0] == 1 {
			c.cursor = row[1:]
		}
		return c, nil
	}
	// The program has no such step any more. The steps after it cannot be told from those
	// before it, so the batch counts as done.
	c.at = len(steps)
	return c, nil
}

// At reports whether the batch that ends at end is the last that is done, or is being
// closed.
func (c *Closer) At(end int64) bool {
	return end == c.marks.done || c.active && end == c.batch.To
}

// ended stands for the end of all steps; no step has this name.
const ended = ""

// save writes how far the work is.
func (c *Closer) save() error {
	s := Step{Name: ended, Durable: true}
	if c.at < len(c.steps) {
		s = c.steps[c.at]
	}
	row := append(wire.BE64(c.batch.From), wire.BE64(c.batch.To)...)
	row = append(row, byte(len(s.Name)))
	row = append(row, s.Name...)
	if !s.Durable || c.cursor == nil {
		row = append(row, 0)
	} else {
		row = append(append(row, 1), c.cursor...)
	}
	return c.marks.store.Put(c.marks.row(rowCursor), row)
}

// work does what can be done for *budget rows. It calls finished for each batch that is
// done, with the end of the batch before. more says that something is left to do.
func (c *Closer) work(budget *int, finished Finished) (more bool, err error) {
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
			c.cursor, done, err = c.steps[c.at].Run(c.batch, c.cursor, budget)
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

func (c *Closer) end() error {
	c.active, c.cursor = false, nil
	if _, _, err := c.marks.store.Delete(c.marks.row(rowCursor)); err != nil {
		return err
	}
	return c.marks.finish()
}
