package engine

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// Reader reads the applied rows of one table. Any number of goroutines may use a Reader
// at once, and while batches are applied. A Reader must not be used after its database
// was closed.
//
// A read sees all of a batch or nothing of it. Two reads may see different batches;
// [Reader.Snapshot] returns a view of one moment.
type Reader struct {
	db      *DB
	name    string
	prefix  []byte
	memory  atomic.Pointer[tree] // the rows of an in-memory table; nil on disk
	version atomic.Uint64
}

// Reader returns the reader of a table that has been opened.
func (d *DB) Reader(table string) (*Reader, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tables[table]
	switch {
	case d.closed:
		return nil, ErrClosed
	case t == nil:
		return nil, fmt.Errorf("table %s is not open", table)
	case t.reader == nil:
		t.reader = &Reader{db: d, name: table, prefix: t.prefix}
		t.reader.publish(t)
	}
	return t.reader, nil
}

// publish makes the applied rows of a table visible. It has no effect if the table has no
// reader.
func (r *Reader) publish(t *Table) {
	if r == nil {
		return
	}
	if t.memory != nil {
		r.memory.Store(t.memory.freeze())
	}
	r.version.Add(1)
}

// Name returns the name of the table.
func (r *Reader) Name() string { return r.name }

// Version returns a number that grows with each batch that changes the table. If it is
// the same before and after, a row that was read in between is still the newest one.
func (r *Reader) Version() uint64 { return r.version.Load() }

// Get returns a row. It appends the value to dst.
func (r *Reader) Get(dst, key []byte) (value []byte, timestamp int64, ok bool, err error) {
	if memory := r.memory.Load(); memory != nil {
		row, ok := rowIn(memory, key)
		return r.split(dst, row, ok)
	}
	var scratch [128]byte
	row, closer, err := database(r.db).Get(append(append(scratch[:0], r.prefix...), key...))
	if errors.Is(err, pebble.ErrNotFound) {
		return dst, 0, false, nil
	}
	if err != nil {
		return dst, 0, false, wrapStore(r.name, err)
	}
	value, timestamp, ok, err = r.split(dst, row, true)
	return value, timestamp, ok, errors.Join(err, closer.Close())
}

// split appends the value of a row to dst.
func (r *Reader) split(dst, row []byte, ok bool) ([]byte, int64, bool, error) {
	if !ok {
		return dst, 0, false, nil
	}
	s, err := splitRow(row)
	if err == nil && s.Format != 0 {
		err = &UnknownFormatError{Format: s.Format}
	}
	if err != nil {
		return dst, 0, false, wrapStore(r.name, err)
	}
	return append(dst, s.Value...), s.Timestamp, true, nil
}

// Snapshot returns a view of the applied rows at one moment.
func (r *Reader) Snapshot() (*Snapshot, error) { return r.db.Snapshot() }
