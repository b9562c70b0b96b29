package engine

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// diskIterator is what an Iterator uses of a *pebble.Iterator.
type diskIterator interface {
	First() bool
	Last() bool
	Next() bool
	Prev() bool
	Key() []byte
	Value() []byte
	Close() error
}

// Iterator walks over the rows of a table, forwards or backwards: the first step goes to
// the first row (Next) or the last (Prev).
type Iterator struct {
	table string

	disk   diskIterator
	prefix int // bytes of the table's prefix

	memory       *cursor
	lower, upper string
	bounded      bool

	started bool
	err     error
	reads   *Reads
}

func pebbleIterator(table string, r pebble.Reader, prefix, lower, upper []byte) (*Iterator, error) {
	o := &pebble.IterOptions{LowerBound: concat(prefix, lower), UpperBound: PrefixEnd(prefix)}
	if upper != nil {
		o.UpperBound = concat(prefix, upper)
	}
	if o.UpperBound != nil && bytes.Compare(o.LowerBound, o.UpperBound) > 0 {
		o.LowerBound = o.UpperBound // Pebble does not accept reversed bounds
	}
	it, err := r.NewIter(o)
	if err != nil {
		return nil, wrapStore(table, err)
	}
	return &Iterator{table: table, disk: it, prefix: len(prefix)}, nil
}

func concat(a, b []byte) []byte {
	return append(append(make([]byte, 0, len(a)+len(b)), a...), b...)
}

func memoryIterator(table string, t *tree, lower, upper []byte) *Iterator {
	return &Iterator{
		table:   table,
		memory:  &cursor{t: t},
		lower:   string(lower),
		upper:   string(upper),
		bounded: upper != nil,
	}
}

// Next goes to the next row, and reports whether there is one.
func (i *Iterator) Next() (ok bool) {
	first := !i.started
	i.started = true
	switch {
	case i.disk == nil:
		ok = i.memoryNext(first)
	case first:
		ok = i.check(i.disk.First())
	default:
		ok = i.check(i.disk.Next())
	}
	i.reads.row(ok)
	return ok
}

// Prev goes to the row before, and reports whether there is one.
func (i *Iterator) Prev() (ok bool) {
	first := !i.started
	i.started = true
	switch {
	case i.disk == nil:
		ok = i.memoryPrev(first)
	case first:
		ok = i.check(i.disk.Last())
	default:
		ok = i.check(i.disk.Prev())
	}
	i.reads.row(ok)
	return ok
}

// check stops at a row that is too short to be one.
func (i *Iterator) check(ok bool) bool {
	if !ok {
		return false
	}
	_, err := splitRow(i.disk.Value())
	i.err = wrapStore(i.table, err)
	return err == nil
}

func (i *Iterator) memoryNext(first bool) bool {
	switch {
	case first:
		i.memory.seek(i.lower)
	case i.memory.valid():
		i.memory.next()
	}
	return i.memory.valid() && (!i.bounded || i.memory.key() < i.upper)
}

func (i *Iterator) memoryPrev(first bool) bool {
	switch {
	case first && i.bounded:
		i.memory.seekBefore(i.upper)
	case first:
		i.memory.seekLast()
	case i.memory.valid():
		i.memory.prev()
	}
	return i.memory.valid() && i.memory.key() >= i.lower
}

// Key returns the key of the row. It is valid until the next step, and must not be
// changed.
func (i *Iterator) Key() []byte {
	if i.disk == nil {
		return bytesOf(i.memory.key())
	}
	return i.disk.Key()[i.prefix:]
}

// Value returns the value of the row. It is valid until the next step, and must not be
// changed.
func (i *Iterator) Value() []byte { return i.Stored().Value }

// Timestamp returns the timestamp of the row in ms.
func (i *Iterator) Timestamp() int64 { return i.Stored().Timestamp }

// Stored returns the row. Its value is valid until the next step, and must not be
// changed.
func (i *Iterator) Stored() Stored {
	s, _ := splitRow(i.row()) // check has seen it, or the row is in memory and so is one
	return s
}

func (i *Iterator) row() []byte {
	if i.disk == nil {
		return i.memory.value().([]byte)
	}
	return i.disk.Value()
}

// Close releases the iterator. If an error has ended the walk early, Close returns it.
func (i *Iterator) Close() error {
	if i.disk != nil {
		if err := i.disk.Close(); err != nil && i.err == nil {
			i.err = wrapStore(i.table, err)
		}
		i.disk = nil
		i.memory = &cursor{t: &tree{}}
	}
	return i.err
}
