package engine

import (
	"fmt"
	"slices"
	"unsafe"
)

// minPiece is the least room that a value gets to be encoded into.
const minPiece = 64

func (c *Cells[K, V]) log(ch *change[K, V], value []byte) error {
	// The key is a part of a string, which never changes.
	return c.logRow(ch.cell.KeyBytes(), value, ch.cell.Timestamp, &ch.origin)
}

// logRow logs a row, if there is a changelog. Key and value must not change afterwards.
func (c *Cells[K, V]) logRow(key, value []byte, timestamp int64, origin *Origin) error {
	if c.env.Log == nil {
		return nil
	}
	if err := c.env.Log(key[c.logFrom:], value, timestamp, origin); err != nil {
		return fmt.Errorf("store %s: write to the changelog: %w", c.store, err)
	}
	return nil
}

// encode returns the encoding of a value in bytes that never change. It is never nil.
// origin is the record that changed the value last.
func (c *Cells[K, V]) encode(v V, origin Origin) (value []byte, err error) {
	defer func() {
		if err != nil {
			err = &EncodeError{Store: c.store, Origin: origin, Err: err}
		}
	}()
	defer Guard(&err)
	value, err = c.serde.Append(c.slab.piece(max(c.typical, minPiece)), v)
	if err != nil {
		return nil, err
	}
	if value == nil {
		value = []byte{}
	}
	value = c.slab.keep(value)
	c.typical = len(value)
	return value, nil
}

// encoded updates the size of a changed cell whose value is known to take n bytes.
func (c *Cells[K, V]) encoded(cell *Cell[K, V], n int) {
	before := cell.size
	c.resize(cell, n)
	c.countDirty(int64(cell.size - before))
}

// Flush logs each changed row once, in order of first change, and adds it to b; see
// Store.Flush.
func (c *Cells[K, V]) Flush(b *TableBatch) error {
	if c.lives != nil {
		if err := c.lives.flush(b); err != nil {
			return err
		}
	}
	if c.sweep != nil {
		if err := c.flushSweep(b); err != nil {
			return err
		}
	}
	for i := range c.changes {
		if err := c.flushOne(b, &c.changes[i]); err != nil {
			return err
		}
	}
	for i := range c.changes {
		cell := c.changes[i].cell
		cell.dirty, cell.committing = 0, true
		c.committing = append(c.committing, cell)
	}
	c.forgetOld()
	c.countDirty(-c.changeSize() * int64(len(c.changes)))
	c.committingBytes = c.dirtyBytes
	c.changes, c.sent = cut(c.changes, 0), 0
	c.generation++
	c.countRoom()
	return nil
}

func (c *Cells[K, V]) flushOne(b *TableBatch, ch *change[K, V]) error {
	if !ch.cell.Present {
		return c.flushAbsent(b, ch)
	}
	value := ch.value
	if !c.env.EveryUpdate {
		var err error
		if value, err = c.encode(ch.cell.Value, ch.origin); err != nil {
			return err
		}
		c.encoded(ch.cell, len(value))
		if err = c.log(ch, value); err != nil {
			return err
		}
	}
	if c.lives != nil {
		if err := c.lives.write(ch.cell.KeyBytes(), ch.cell.Timestamp, ch.timeBefore()); err != nil {
			return err
		}
	}
	return b.Put(ch.cell.KeyBytes(), Stored{Value: value, Timestamp: ch.cell.Timestamp, Format: c.FormatOf(ch.cell.Value)})
}

// FormatOf returns the number of the format in which a value is written.
func (c *Cells[K, V]) FormatOf(v V) uint8 {
	if c.undecoded {
		return (*Undecoded)(unsafe.Pointer(&v)).Format
	}
	return c.format
}

func (c *Cells[K, V]) flushAbsent(b *TableBatch, ch *change[K, V]) error {
	if !c.env.EveryUpdate {
		if c.old && !c.deletions {
			if was, err := c.wasThere(ch); err != nil || !was {
				return err
			}
		}
		if err := c.log(ch, nil); err != nil {
			return err
		}
	}
	return b.Delete(ch.cell.KeyBytes())
}

// Committed is called when the batch of the last Flush has been applied; see
// Store.Committed.
func (c *Cells[K, V]) Committed() {
	for _, cell := range c.committing {
		cell.committing = false
		if cell.dirty != 0 {
			continue
		}
		if !cell.Present {
			cell.used = false // a deleted row is the first to go
		}
		if c.index != nil {
			c.index.delete(cell.key)
		}
	}
	c.committing = cut(c.committing, 0)
	if c.lives != nil {
		c.lives.committed()
	}
	if c.sweep != nil {
		c.committedSweep()
	}
	if !c.ranged {
		c.index = nil // nobody reads in order any more
	}
	c.ranged = false
	c.countDirty(-c.committingBytes)
	c.committingBytes = 0
	c.Trim()
}

// Trim evicts cached rows and releases unused room, while the process holds more than it
// may and the task more than its part; see Store.Trim.
func (c *Cells[K, V]) Trim() {
	if !c.env.Budget.Crowded() {
		return
	}
	c.shrink()
	for c.env.Budget.Crowded() && c.evict(len(c.ring)/16+64, len(c.ring)) > 0 {
	}
	const sparse = 4
	if len(c.cells) < c.most/sparse {
		c.rehouse()
	}
}

// rehouse moves the cells to a smaller map, because a Go map does not shrink.
func (c *Cells[K, V]) rehouse() {
	cells := make(map[string]*Cell[K, V], len(c.cells))
	for _, cell := range c.ring {
		cells[cell.key] = cell
	}
	c.cells, c.most = cells, len(cells)
}

// shrink releases the room of empty lists.
func (c *Cells[K, V]) shrink() {
	if len(c.changes) == 0 {
		c.changes = nil
	}
	if len(c.committing) == 0 {
		c.committing = nil
	}
	c.ring = slices.Clip(c.ring)
	c.countRoom()
}

// Forget evicts the cached rows with a key below the bound. The table has dropped them,
// and nobody will ask for them again.
func (c *Cells[K, V]) Forget(below []byte) {
	bound := string(below)
	for i := len(c.ring) - 1; i >= 0; i-- {
		if cell := c.ring[i]; cell.key < bound && cell.dirty == 0 && !cell.committing {
			c.drop(i)
		}
	}
}

// ForgetAll evicts all cached rows.
func (c *Cells[K, V]) ForgetAll() {
	for i := len(c.ring) - 1; i >= 0; i-- {
		if cell := c.ring[i]; cell.dirty == 0 && !cell.committing {
			c.drop(i)
		}
	}
}

// evict evicts up to n cached rows, and looks at no more than steps cells. It uses second
// chance: a cell that was used since the hand last passed stays. It returns how many were
// evicted, or marked to be evicted next time.
func (c *Cells[K, V]) evict(n, steps int) int {
	done := 0
	for ; steps > 0 && n > 0 && len(c.ring) > 0; steps-- {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		cell := c.ring[c.hand]
		switch {
		case cell.dirty != 0 || cell.committing:
			c.hand++
		case cell.used:
			cell.used = false
			done++
			c.hand++
		default:
			c.drop(c.hand)
			done++
			n--
		}
	}
	return done
}

// drop removes the i-th cell of the ring from memory.
func (c *Cells[K, V]) drop(i int) {
	cell := c.ring[i]
	last := len(c.ring) - 1
	c.ring[i] = c.ring[last]
	c.ring[last] = nil
	c.ring = c.ring[:last]
	delete(c.cells, cell.key)
	if c.newest {
		c.above = max(c.above, cell.key)
	}
	cell.gone = true
	c.count(-int64(cell.size))
}
