package engine

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// Snapshot is a view of the committed state of a task at one moment. It includes all
// tables, even those in memory. It must be closed. Any goroutine may use a Snapshot and
// its Rows, but only one at a time.
//
// The database does not wait for a snapshot. After the database is closed, every method
// returns [ErrClosed].
type Snapshot struct {
	db *DB

	// mu guards what follows against the database, which ends the snapshot when it is
	// closed.
	mu     sync.Mutex
	disk   any // a *pebble.Snapshot; nil without a database on disk
	tables map[string]snapshotTable
	open   map[*Rows]struct{}
	ended  error // why it cannot be used any more
}

type snapshotTable struct {
	prefix   []byte
	memory   *tree
	metaName string // see Table.metaName; of the table itself
}

var errSnapshotClosed = errors.New("snapshot is closed")

// Snapshot returns a view of the committed state as it is now. Any goroutine may call it.
func (d *DB) Snapshot() (*Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	s := &Snapshot{db: d, tables: make(map[string]snapshotTable, len(d.tables)), open: map[*Rows]struct{}{}}
	if d.pebble != nil {
		s.disk = database(d).NewSnapshot()
	}
	for name, t := range d.tables {
		s.tables[name] = t.snapshot()
		if t.past != nil {
			s.tables[pastName(name)] = t.past.snapshot()
		}
	}
	d.snapshots[s] = struct{}{}
	return s, nil
}

// snapshot returns the table as it is now. The caller holds d.mu.
func (t *Table) snapshot() snapshotTable {
	st := snapshotTable{prefix: t.prefix, metaName: t.metaName(t.name)}
	if t.memory != nil {
		st.memory = t.memory.freeze()
	}
	return st
}

// Get returns a row of the named table. It belongs to the caller.
func (s *Snapshot) Get(table string, key []byte) (found Stored, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.table(table)
	if err != nil {
		return found, false, err
	}
	row, ok, err := t.get(s, key)
	if err != nil || !ok {
		return found, false, wrapStore(table, err)
	}
	found, err = splitRow(row)
	return found, err == nil, wrapStore(table, err)
}

// get returns a copy of a row.
func (t snapshotTable) get(s *Snapshot, key []byte) (row []byte, ok bool, err error) {
	if t.memory != nil {
		row, ok = rowIn(t.memory, key)
		return bytes.Clone(row), ok, nil
	}
	row, closer, err := s.disk.(*pebble.Snapshot).Get(concat(t.prefix, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	row = bytes.Clone(row)
	return row, true, closer.Close()
}

// Scan returns the rows with lower <= key < upper of the named table; nil bounds are
// open. They must be closed before the snapshot.
func (s *Snapshot) Scan(table string, lower, upper []byte) (*Rows, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.table(table)
	if err != nil {
		return nil, err
	}
	it, err := t.scan(s, table, lower, upper)
	if err != nil {
		return nil, err
	}
	rows := &Rows{snapshot: s, it: it}
	s.open[rows] = struct{}{}
	return rows, nil
}

func (s *Snapshot) table(name string) (snapshotTable, error) {
	t, ok := s.tables[name]
	if !ok {
		return t, fmt.Errorf("the task has no store %s", name)
	}
	return t, s.ended
}

func (t snapshotTable) scan(s *Snapshot, name string, lower, upper []byte) (*Iterator, error) {
	if t.memory != nil {
		return memoryIterator(name, t.memory, lower, upper), nil
	}
	return pebbleIterator(name, s.disk.(*pebble.Snapshot), t.prefix, lower, upper)
}

// Close releases the snapshot. A second Close does nothing.
func (s *Snapshot) Close() error {
	err := s.end(errSnapshotClosed)
	s.db.mu.Lock()
	delete(s.db.snapshots, s)
	s.db.mu.Unlock()
	return err
}

// end releases what the snapshot holds of the database.
func (s *Snapshot) end(why error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return nil
	}
	s.ended = why
	var errs []error
	for rows := range s.open {
		errs = append(errs, rows.it.Close())
	}
	s.open = nil
	if s.disk != nil {
		errs = append(errs, s.disk.(*pebble.Snapshot).Close())
	}
	return errors.Join(errs...)
}

// Rows walks over rows of a Snapshot, forwards or backwards: the first step goes to the
// first row (Next) or the last (Prev).
type Rows struct {
	snapshot *Snapshot
	it       *Iterator

	// A copy of the row, for the time after the end of the database.
	key []byte
	row Stored
	err error
}

// Next goes to the next row, and reports whether there is one.
func (r *Rows) Next() bool { return r.step((*Iterator).Next) }

// Prev goes to the row before, and reports whether there is one.
func (r *Rows) Prev() bool { return r.step((*Iterator).Prev) }

func (r *Rows) step(to func(*Iterator) bool) bool {
	r.snapshot.mu.Lock()
	defer r.snapshot.mu.Unlock()
	if r.err == nil {
		r.err = r.snapshot.ended
	}
	if r.err != nil || !to(r.it) {
		return false
	}
	row := r.it.Stored()
	row.Value = append(r.row.Value[:0], row.Value...)
	r.key, r.row = append(r.key[:0], r.it.Key()...), row
	return true
}

// Key returns the key of the row. It is valid until the next step, and must not be
// changed.
func (r *Rows) Key() []byte { return r.key }

// Value returns the value of the row. It is valid until the next step, and must not be
// changed.
func (r *Rows) Value() []byte { return r.row.Value }

// Timestamp returns the timestamp of the row in ms.
func (r *Rows) Timestamp() int64 { return r.row.Timestamp }

// Stored returns the row. Its value is valid until the next step, and must not be
// changed.
func (r *Rows) Stored() Stored { return r.row }

// Close releases the rows, and returns the error that has ended the walk early, if one
// has.
func (r *Rows) Close() error {
	r.snapshot.mu.Lock()
	defer r.snapshot.mu.Unlock()
	if _, open := r.snapshot.open[r]; open {
		delete(r.snapshot.open, r)
		if err := r.it.Close(); r.err == nil {
			r.err = err
		}
	}
	return r.err
}
