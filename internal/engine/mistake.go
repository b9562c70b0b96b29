package engine

import "github.com/millrace-streams/millrace/internal/seam"

// leave keeps the cells of a store for the next Cells of the table, if that is the
// mistake to make.
func (t *Table) leave(cells any) {
	if t != nil && t.db != nil && t.db.o.Mistake == seam.KeepCells {
		t.left = cells
	}
}

// adopt begins with what the Cells before have left, committed or not.
func (c *Cells[K, V]) adopt(t *Table) {
	if t == nil {
		return
	}
	before, _ := t.left.([]*Cell[K, V])
	for _, cell := range before {
		mine := c.insert(cell.key, 0)
		mine.Key, mine.Value, mine.Present, mine.Timestamp = cell.Key, cell.Value, cell.Present, cell.Timestamp
	}
}
