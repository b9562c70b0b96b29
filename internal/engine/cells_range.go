package engine

import (
	"bytes"
	"iter"
)

// Row is a row of a range read.
type Row[K, V any] struct {
	KeyBytes  []byte // valid until the next step
	Value     V
	Timestamp int64
	Cell      *Cell[K, V] // nil if the row is not in memory
}

// Lend returns the value to a reader that may keep it: see [Cell.Lend].
func (r Row[K, V]) Lend() V {
	if r.Cell != nil {
		return r.Cell.Lend()
	}
	return r.Value
}

// Range yields the rows with lower <= key < upper in order of key bytes, or in reverse.
// Nil bounds are open. The loop may change rows: a row that the loop has not reached yet
// is yielded as it is when the loop reaches it. Rows that only the table has are decoded,
// and not kept in memory.
//
// A Range makes the cells keep their changes in order. Each change of a row then costs
// some hundred nanoseconds more, until there has been no Range between two commits.
func (c *Cells[K, V]) Range(lower, upper []byte, reverse bool) iter.Seq2[Row[K, V], error] {
	return func(yield func(Row[K, V], error) bool) {
		if lower == nil || upper == nil || bytes.Compare(lower, upper) < 0 {
			c.walk(lower, upper, reverse, yield)
		}
	}
}

// walk implements Range.
func (c *Cells[K, V]) walk(lower, upper []byte, reverse bool, yield func(Row[K, V], error) bool) {
	rows, err := c.env.Table.Scan(lower, upper)
	if err != nil {
		yield(Row[K, V]{}, err)
		return
	}
	c.ranged = true
	c.buildIndex()
	m := merge{rows: rows, changed: cursor{t: c.index}, lower: lower, upper: upper, reverse: reverse}
	stopped := false
	for err == nil && !stopped && m.next() {
		var r Row[K, V]
		var ok bool
		if r, ok, err = c.rowAt(&m); ok && err == nil {
			stopped = !yield(r, nil)
		}
	}
	if closed := rows.Close(); err == nil {
		err = closed
	}
	if err != nil && !stopped {
		yield(Row[K, V]{}, err)
	}
}

func (c *Cells[K, V]) buildIndex() {
	if c.index != nil {
		return
	}
	c.index = &tree{}
	for _, cell := range c.committing {
		c.index.set(cell.key, cell)
	}
	for i := range c.changes {
		c.index.set(c.changes[i].cell.key, c.changes[i].cell)
	}
}

// rowAt returns the present row of a merge. ok is false if a change has deleted it.
func (c *Cells[K, V]) rowAt(m *merge) (r Row[K, V], ok bool, err error) {
	if m.cell != nil {
		cell := m.cell.(*Cell[K, V])
		return cellRow(cell), cell.Present, nil
	}
	key := m.rows.Key()
	// A cached cell has the same value, already decoded.
	if cell := c.cells[string(key)]; cell != nil {
		return cellRow(cell), cell.Present, nil
	}
	row := m.rows.Stored()
	value, err := c.value(key, row)
	return Row[K, V]{KeyBytes: key, Value: value, Timestamp: row.Timestamp}, true, err
}

func cellRow[K, V any](cell *Cell[K, V]) Row[K, V] {
	return Row[K, V]{KeyBytes: cell.KeyBytes(), Value: cell.Value, Timestamp: cell.Timestamp, Cell: cell}
}
