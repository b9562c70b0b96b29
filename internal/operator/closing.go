package operator

import (
	"math"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// closing sends each row of a table once, when its window is closed. It is nil for a
// table that sends its updates.
//
// An index in memory has the rows that were not sent yet, by time. After a restart the
// index is built from the rows in the store.
type closing[K, A any] struct {
	rows  *rows[K, serde.Windowed[K], A]
	store closingStore[K, A]
	index *engine.TimeIndex

	// size is how long after its time in the index a row's window ends, and delay how
	// long after its end a window is closed.
	size, delay int64

	// until is the time up to which ended windows have been sent. It is committed. After
	// a change of the grace, no window is therefore opened again, and none is skipped.
	until *processor.Timestamp
}

// closingStore is the part of a store's instance that a table needs to send its rows when
// they are closed.
type closingStore[K, A any] interface {
	cellStore[K, A]

	// Newest is the method of windowStore and sessionStore.
	Newest() int64

	// TimeIndex returns an index of the committed rows with a time after the given one.
	// keyOf makes the key in the index from the key of a cell. If it is nil, they are the
	// same.
	TimeIndex(after int64, keyOf func(cellKey []byte) []byte) (*engine.TimeIndex, error)

	// Key returns the key without its window in the key of a cell.
	Key(cellKey []byte) (K, error)
}

// closedTime returns the name of closing.until.
func closedTime(store string) string { return "#closed/" + store }

// openClosing returns the closing of a table, or nil if its updates are sent as they
// come. keyOf is the argument of closingStore.TimeIndex.
func openClosing[K, A any](r *rows[K, serde.Windowed[K], A], store string, streamTime processor.Timestamp, size, delay int64, keyOf func(cellKey []byte) []byte) (*closing[K, A], error) {
	if !r.node.Final {
		return nil, nil
	}
	s, err := storeOf[closingStore[K, A]](r.task, store)
	if err != nil {
		return nil, err
	}
	c := &closing[K, A]{rows: r, store: s, size: size, delay: delay, until: r.task.Time(closedTime(store))}
	// Without a committed time, the table was not Final before, and has sent its rows. If
	// the times were lost, the rows show how far stream time had come, because results
	// were committed together with them.
	if *c.until < 0 || s.Newest() >= 0 {
		*c.until = max(*c.until, streamTime-processor.Timestamp(delay))
	}
	r.opened = c.add
	return c, c.find(keyOf)
}

// find finds the rows that were not sent yet.
func (c *closing[K, A]) find(keyOf func(cellKey []byte) []byte) (err error) {
	c.index, err = c.store.TimeIndex(c.ending(int64(*c.until)), keyOf)
	if err != nil {
		return err
	}
	c.rows.task.OnClose(c.rows.node, func() error { c.index.Close(); return nil })
	return nil
}

// add notes a row that is new.
func (c *closing[K, A]) add(cell *engine.Cell[K, A], end int64) {
	c.index.Add(end-c.size, cell.KeyBytes())
}

// ending returns the largest time in the index of a row whose window ends by a time. The
// windows that would end after the last timestamp end there.
func (c *closing[K, A]) ending(by int64) int64 {
	if by == math.MaxInt64 {
		return by
	}
	return by - c.size
}

// passed reports whether the window with the end has been closed.
func (c *closing[K, A]) passed(end int64) bool { return c != nil && end <= int64(*c.until) }

// send sends the rows of the windows that are closed at a stream time, by time and key.
func (c *closing[K, A]) send(streamTime processor.Timestamp, headers processor.Headers) error {
	if c == nil || !c.advance(streamTime) {
		return nil
	}
	for {
		_, row, ok := c.index.Take(c.ending(int64(*c.until)))
		if !ok {
			return nil
		}
		if err := c.sendRow(row, headers); err != nil {
			return err
		}
	}
}

// advance moves until to the time that follows from a stream time. ok is false if until
// stays.
func (c *closing[K, A]) advance(streamTime processor.Timestamp) (ok bool) {
	until := streamTime - processor.Timestamp(c.delay)
	if until <= *c.until {
		return false
	}
	*c.until = until
	return true
}

// sendRow sends the row of a cell, if the row exists.
func (c *closing[K, A]) sendRow(cellKey []byte, headers processor.Headers) error {
	r := c.rows
	key, err := c.store.Key(cellKey)
	if err != nil {
		return r.broken(err)
	}
	cell, err := r.cells.Load(cellKey, key)
	if err != nil {
		return r.broken(err)
	}
	if !cell.Present {
		return nil // an aggregator has deleted it
	}
	var none A
	r.prepare(cell, r.time(cell), headers)
	r.updates.setOld(none, false)
	return r.updates.send()
}

// closedRows finds only the rows in closed windows.
type closedRows[K, V any] struct {
	Lookup[serde.Windowed[K], V]
	until *processor.Timestamp
}

func (c closedRows[K, V]) Row(key serde.Windowed[K], encoding []byte) (Row[V], error) {
	if key.Window.End > int64(*c.until) {
		return Row[V]{}, nil
	}
	return c.Lookup.Row(key, encoding)
}

// closedOnly restricts a lookup of a table to the rows that the table has sent.
func closedOnly[K, V any](t graph.Task, store string, of Lookup[serde.Windowed[K], V]) Lookup[serde.Windowed[K], V] {
	return closedRows[K, V]{of, t.Time(closedTime(store))}
}
