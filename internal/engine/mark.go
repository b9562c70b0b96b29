package engine

// Mark says where a Cells has the change of a row. Until the next Flush, [Cells.Marked]
// finds the row by it, which is cheaper than a search by key. The zero Mark marks no row.
type Mark struct {
	generation uint32
	change     int32 // as Cell.dirty
}

// Mark returns the mark of a cell.
func (c *Cells[K, V]) Mark(cell *Cell[K, V]) Mark { return Mark{c.generation, cell.dirty} }

// Marked is Load of the row with a mark. It returns nil if the row has not changed since
// the last Flush: the caller then calls Load.
func (c *Cells[K, V]) Marked(m Mark, key K) *Cell[K, V] {
	if m.change == 0 || m.generation != c.generation || !c.shortcuts {
		return nil
	}
	cell := c.changes[m.change-1].cell
	cell.Key = key
	return cell
}

// WindowMark is the mark of the row of a window.
type WindowMark struct {
	Start int64 // of the window, in ms
	Mark  Mark
}
