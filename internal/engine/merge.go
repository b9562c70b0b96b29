package engine

import "bytes"

// merge walks over the rows of a table and the changed cells together. It does not know
// the type of the cells: like [tree], it is compiled once, and not for each type of a
// store.
type merge struct {
	rows         *Iterator
	changed      cursor // over Cells.index
	lower, upper []byte
	reverse      bool

	cell  any    // the changed cell at the current row; nil: the row is the table's
	order int    // at the current row: see compare
	row   bool   // rows is at a row
	begun bool   // last holds the key that was passed last
	last  []byte // bound of what is still to come
}

// next goes to the next row, and reports whether there is one.
func (m *merge) next() bool {
	m.advance()
	if m.outdated() {
		m.place()
	}
	inCells := m.inBounds()
	if !m.row && !inCells {
		return false
	}
	m.order = m.compare(inCells)
	m.rows.reads.row(m.order < 0) // the iterator has counted the others
	if m.order <= 0 {             // the changed cell is first, or hides the table's row
		m.cell = m.changed.value()
		m.last = append(m.last[:0], m.changed.key()...)
	} else {
		m.cell = nil
		m.last = append(m.last[:0], m.rows.Key()...)
	}
	m.begun = true
	return true
}

// outdated reports whether cells have changed since the cursor was placed.
func (m *merge) outdated() bool { return m.changed.version != m.changed.t.version }

// advance leaves the current row, or goes to where the walk begins.
func (m *merge) advance() {
	if !m.begun {
		m.advanceRow()
		m.place()
		return
	}
	if m.order >= 0 {
		m.advanceRow()
	}
	if m.order <= 0 && !m.outdated() {
		m.advanceChanged()
	}
}

// compare says which comes first: the changed cell (-1), the table's row (1), or both at
// once (0).
func (m *merge) compare(inCells bool) int {
	if !inCells {
		return 1
	}
	if !m.row {
		return -1
	}
	order := bytes.Compare(bytesOf(m.changed.key()), m.rows.Key())
	if m.reverse {
		return -order
	}
	return order
}

func (m *merge) advanceRow() {
	if m.reverse {
		m.row = m.rows.Prev()
	} else {
		m.row = m.rows.Next()
	}
}

func (m *merge) advanceChanged() {
	if !m.changed.valid() {
		return
	}
	if m.reverse {
		m.changed.prev()
	} else {
		m.changed.next()
	}
}

// place puts the cursor at the first changed cell that is still to come.
func (m *merge) place() {
	switch {
	case m.reverse && m.begun:
		m.changed.seekBefore(view(m.last))
	case m.reverse && m.upper != nil:
		m.changed.seekBefore(view(m.upper))
	case m.reverse:
		m.changed.seekLast()
	case m.begun:
		m.changed.seek(view(m.last))
		if m.changed.valid() && m.changed.key() == view(m.last) {
			m.changed.next()
		}
	default:
		m.changed.seek(view(m.lower))
	}
}

func (m *merge) inBounds() bool {
	if !m.changed.valid() {
		return false
	}
	if m.reverse {
		return m.lower == nil || m.changed.key() >= view(m.lower)
	}
	return m.upper == nil || m.changed.key() < view(m.upper)
}
