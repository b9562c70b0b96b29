package engine

import "fmt"

// expireAtOnce is how many entries of the index one call of Expire takes. Each may become
// a changed row, which stays in memory until the commit.
const expireAtOnce = 10_000

// SetLifetimes makes rows expire. Call it before the first change. Get, Load and Range
// still find a row that has expired until it is deleted: see [Lifetimes.Expired].
func (c *Cells[K, V]) SetLifetimes(l *Lifetimes) { c.lives = l }

// Lifetimes returns the lifetimes of the rows, or nil if they do not expire.
func (c *Cells[K, V]) Lifetimes() *Lifetimes { return c.lives }

// Expire calls expire for rows that have expired, in order of their timestamps and then
// of their keys. expire must delete the row. decode returns the key of an encoding.
//
// Each row that was put expires once, so the work for a record is bounded on average. If
// stream time has jumped, many rows expire at once. One call therefore handles a bounded
// number of them, and asks for another commit if more are left.
//
// failure is an error of expire, and err any other one.
func (c *Cells[K, V]) Expire(decode func([]byte) (K, error), expire func(*Cell[K, V]) error) (failure, err error) {
	l := c.lives
	deadline := l.deadline()
	for range expireAtOnce {
		key, ok, err := l.take(deadline)
		if err != nil || !ok {
			return nil, wrapStore(c.store, err)
		}
		cell, err := c.Get(key)
		switch {
		case err != nil:
			return nil, err
		case cell == nil:
			continue
		case cell.Timestamp > deadline:
			l.keep(cell.KeyBytes(), cell.Timestamp, cell.dirty == 0 && !cell.committing)
			continue
		}
		if cell.Key, err = decode(cell.KeyBytes()); err != nil {
			return nil, fmt.Errorf("store %s: decode a key: %w", c.store, err)
		}
		if err := expire(cell); err != nil {
			return err, nil
		}
	}
	l.again()
	return nil, nil
}

// timeBefore returns the timestamp of a changed row as of the last Flush, -1 if unknown.
func (ch *change[K, V]) timeBefore() int64 {
	if !ch.oldThere {
		return -1
	}
	return ch.oldTime
}
