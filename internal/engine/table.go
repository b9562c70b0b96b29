package engine

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Table is one store's slice of a task's committed state, in order of unsigned key bytes.
// Its methods are for the task's goroutine.
type Table struct {
	db     *DB
	name   string
	prefix []byte     // of a persistent table's keys
	memory *tree      // of an in-memory table: rows as on disk
	key    []byte     // scratch
	row    []byte     // scratch
	left   any        // by the last Cells, for a mistake
	known  *knownKeys // nil for a table in memory, and for one of the past
	reader *Reader    // nil: nobody has asked for it; DB.mu guards it
	past   *Table     // see Past
	isPast bool

	interval int64           // see Interval; 0: nobody has asked for it yet
	firsts   map[int64]int64 // offsets of the segments; see segments.go
}

// Name returns the store's name.
func (t *Table) Name() string { return t.name }

// Persistent reports whether the table is on disk.
func (t *Table) Persistent() bool { return t.memory == nil }

// shortcuts reports whether rows may be found without a search; see Options.NoShortcuts.
func (t *Table) shortcuts() bool { return t == nil || t.db == nil || !t.db.o.NoShortcuts }

// metaName is the name under which the table's position in a topic is kept. The in-memory
// table of a store must not take over the position of the persistent one that the store
// had before.
func (t *Table) metaName(topic string) string {
	if t.memory != nil {
		return "\x00memory\x00" + topic
	}
	return topic
}

// Get returns a row. Its value is valid until the next Get of the table.
func (t *Table) Get(key []byte) (s Stored, ok bool, err error) {
	row, ok, err := t.get(key)
	if err != nil || !ok {
		return s, false, wrapStore(t.name, err)
	}
	s, err = splitRow(row)
	return s, err == nil, wrapStore(t.name, err)
}

func (t *Table) get(key []byte) (row []byte, ok bool, err error) {
	if t.memory != nil {
		t.db.o.Reads.get()
		row, ok = rowIn(t.memory, key)
		return row, ok, nil
	}
	if t.known.lacks(key) {
		return nil, false, nil
	}
	t.db.o.Reads.get()
	t.key = append(append(t.key[:0], t.prefix...), key...)
	row, closer, err := database(t.db).Get(t.key)
	if err != nil {
		if errors.Is(err, pebble.ErrNotFound) {
			t.known.missed()
			return nil, false, nil
		}
		return nil, false, err
	}
	t.row = append(t.row[:0], row...)
	return t.row, true, closer.Close()
}

// rowIn returns the row of an in-memory table.
func rowIn(memory *tree, key []byte) (row []byte, ok bool) {
	v, ok := memory.get(view(key))
	if !ok {
		return nil, false
	}
	return v.([]byte), true
}

func wrapStore(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store %s: %w", name, damaged(err))
}

// Scan returns an iterator over lower <= key < upper; nil bounds are open. It must be
// closed, and before the next Apply.
func (t *Table) Scan(lower, upper []byte) (*Iterator, error) {
	t.db.o.Reads.scan()
	if t.memory != nil {
		i := memoryIterator(t.name, t.memory, lower, upper)
		i.reads = t.db.o.Reads
		return i, nil
	}
	i, err := pebbleIterator(t.name, database(t.db), t.prefix, lower, upper)
	if err == nil {
		i.reads = t.db.o.Reads
	}
	return i, err
}

// PrefixEnd returns the smallest key above all keys with the prefix; nil if there is
// none.
func PrefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}
