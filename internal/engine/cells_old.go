package engine

import "fmt"

// KeepOld prepares for calls of Old. A row that is absent, and was absent at the last
// Flush, is then not logged, unless every update is. Call KeepOld before the first
// change.
//
// An old value is kept only if values of its type cannot be changed in place. Otherwise
// Old reads it from the table.
func (c *Cells[K, V]) KeepOld() { c.old = true }

// LogDeletions makes Flush log every deletion, also of a row that came and went since the
// last Flush. It is for stores in which a deletion has a meaning of its own.
func (c *Cells[K, V]) LogDeletions() { c.deletions = true }

// KeepOldValues is KeepOld for a caller that never changes a value in place after a
// Flush: the caller gets such a value from Copy. All old values are then kept.
func (c *Cells[K, V]) KeepOldValues() { c.old, c.oldValues = true, true }

// Copy returns the value of a cell for a function that may change it in place. If values
// of its type cannot be changed in place, it returns the value itself. Otherwise it
// encodes and decodes the value.
func (c *Cells[K, V]) Copy(cell *Cell[K, V]) (value V, err error) {
	if c.immutable {
		return cell.Value, nil
	}
	if cell.dirty != 0 {
		if data := c.changes[cell.dirty-1].value; data != nil {
			return c.decode(data)
		}
	}
	if err := c.encodeScratch(cell.Value); err != nil {
		return value, err
	}
	return c.decode(c.scratch)
}

// Encodable returns the error of the serde if it cannot encode a value.
func (c *Cells[K, V]) Encodable(v V) error { return c.encodeScratch(v) }

// encodeScratch sets scratch to the encoding of a value.
func (c *Cells[K, V]) encodeScratch(v V) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("store %s: encode a value: %w", c.store, err)
		}
	}()
	defer Guard(&err)
	if c.scratch, err = c.serde.Append(c.scratch[:0], v); c.scratch == nil {
		c.scratch = []byte{}
	}
	return err
}

// keepOld keeps the row of a cell before its first change.
func (c *Cells[K, V]) keepOld(ch *change[K, V], cell *Cell[K, V]) {
	ch.keepOld(cell, c.immutable || c.oldValues)
	if ch.oldKnown && ch.oldThere && !c.immutable {
		n := int64(cell.size) - int64(c.base) - int64(len(cell.key))
		c.oldBytes += n
		c.count(n)
		c.countDirty(n)
	}
}

// forgetOld releases the old values of a generation.
func (c *Cells[K, V]) forgetOld() {
	c.count(-c.oldBytes)
	c.countDirty(-c.oldBytes)
	c.oldBytes = 0
}

// Old returns the row of a changed cell as it was at the last Flush. It may be called
// after KeepOld or KeepOldValues, and while no generation is being committed, as in
// Task.OnFlush.
func (c *Cells[K, V]) Old(cell *Cell[K, V]) (value V, timestamp int64, present bool, err error) {
	if cell.dirty == 0 {
		return cell.Value, cell.Timestamp, cell.Present, nil
	}
	ch := &c.changes[cell.dirty-1]
	if !ch.oldKnown {
		// The table is the state of the last Flush, which has been committed.
		if err := c.readOld(ch); err != nil {
			return value, 0, false, err
		}
	}
	return ch.old, ch.oldTime, ch.oldThere, nil
}

// wasThere reports whether the row of a change was there at the last Flush. It may be
// called when Old may be called.
func (c *Cells[K, V]) wasThere(ch *change[K, V]) (bool, error) {
	if ch.oldThere {
		return true, nil
	}
	_, _, was, err := c.Old(ch.cell)
	return was, err
}

func (c *Cells[K, V]) readOld(ch *change[K, V]) error {
	row, ok, err := c.env.Table.Get(ch.cell.KeyBytes())
	if err != nil {
		return err
	}
	if ok {
		if ch.old, err = c.value(ch.cell.KeyBytes(), row); err != nil {
			return err
		}
	}
	ch.oldTime, ch.oldThere, ch.oldKnown = row.Timestamp, ok, true
	return nil
}

// Sent returns the row of a cell as it was last sent, if updates are sent from Dirty. A
// change that Dirty has not yielded yet does not count. If each update is logged at once,
// it is also sent at once, and the row is the present one. Old values must be kept; see
// KeepOldValues.
func (c *Cells[K, V]) Sent(cell *Cell[K, V]) (value V, timestamp int64, present bool, err error) {
	if c.env.EveryUpdate || int(cell.dirty) <= c.sent {
		return cell.Value, cell.Timestamp, cell.Present, nil
	}
	return c.Old(cell)
}
