package engine

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Snapshot is a view of the committed state of a task at one moment: all its tables, those in memory too. It must be closed: the database waits for it.
// A Snapshot may be used by any goroutine, one at a time.
type Snapshot struct {
	db     *DB
	disk   *pebble.Snapshot
	tables map[string]snapshotTable
	closed bool
}

type snapshotTable struct {
	prefix   []byte
	memory   *tree[[]byte]
	interval int64 // see Table
}

// Snapshot returns a view of the committed state as it is now. Any goroutine may call it.
func (d *DB) Snapshot() (*Snapshot, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	s := &Snapshot{db: d, tables: make(map[string]snapshotTable, len(d.tables))}
	if d.pebble != nil {
		s.disk = d.pebble.NewSnapshot()
	}
	for name, t := range d.tables {
		st := snapshotTable{prefix: t.prefix, interval: t.interval}
		if t.memory != nil {
			st.memory = t.memory.freeze()
		}
		s.tables[name] = st
	}
	d.snapshots++
	return s, nil
}

// Get returns a row of the named table. value belongs to the caller.
func (s *Snapshot) Get(table string, key []byte) (value []byte, timestamp int64, ok bool, err error) {
	t, err := s.table(table)
	if err != nil {
		return nil, 0, false, err
	}
	row, ok, err := t.get(s, key)
	if err != nil || !ok {
		return nil, 0, false, wrapStore(table, err)
	}
	value, timestamp, err = splitRow(row)
	return value, timestamp, err == nil, wrapStore(table, err)
}

// get returns a copy of a row.
func (t snapshotTable) get(s *Snapshot, key []byte) (row []byte, ok bool, err error) {
	if t.memory != nil {
		row, ok = t.memory.get(view(key))
		return bytes.Clone(row), ok, nil
	}
	row, closer, err := s.disk.Get(concat(t.prefix, key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	row = bytes.Clone(row)
	return row, true, closer.Close()
}

// Scan returns an iterator over lower <= key < upper of the named table; nil bounds are open. It must be closed before the snapshot.
func (s *Snapshot) Scan(table string, lower, upper []byte) (*Iterator, error) {
	t, err := s.table(table)
	if err != nil {
		return nil, err
	}
	return t.scan(s, table, lower, upper)
}

// WindowLayout returns how the named table keeps the rows of a window store; ok is false if it never did.
func (s *Snapshot) WindowLayout(table string) (layout WindowLayout, ok bool) {
	interval := s.tables[table].interval
	return WindowLayout{interval}, interval > 0
}

func (s *Snapshot) table(name string) (snapshotTable, error) {
	t, ok := s.tables[name]
	if !ok {
		return t, fmt.Errorf("the task has no store %s", name)
	}
	if s.closed {
		return t, errors.New("snapshot is closed")
	}
	return t, nil
}

func (t snapshotTable) scan(s *Snapshot, name string, lower, upper []byte) (*Iterator, error) {
	if t.memory != nil {
		return memoryIterator(name, t.memory, lower, upper), nil
	}
	return pebbleIterator(name, s.disk, t.prefix, lower, upper)
}

// Close releases the snapshot. A second Close does nothing.
func (s *Snapshot) Close() error {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.db.snapshots--
	if s.db.snapshots == 0 {
		s.db.idle.Broadcast()
	}
	if s.disk == nil {
		return nil
	}
	return s.disk.Close()
}
