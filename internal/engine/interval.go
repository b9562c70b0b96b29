package engine

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// intervals are the intervals of the segments of time, in ms, by which segmented stores
// keep the rows of their tables: by Table.metaName of the table. DB.mu guards them.
type intervals map[string]int64

// Interval returns the interval of the segments by which the table's rows are kept, in
// ms. A table that has been used keeps the interval that it had first: a later version of
// the program with another retention must find the rows that are there. A new table takes
// want.
func (t *Table) Interval(want int64) (int64, error) {
	if t.interval > 0 {
		return t.interval, nil
	}
	if t.db == nil {
		return want, nil
	}
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	name := t.metaName(t.name)
	if known := t.db.intervals[name]; known > 0 {
		if err := t.findSegments(); err != nil {
			return 0, err
		}
		t.interval = known
		return known, nil
	}
	if t.Persistent() {
		// Pebble recovers a prefix of what was written, so the interval is there whenever
		// a row is.
		value := binary.BigEndian.AppendUint64(nil, uint64(want))
		if err := t.db.pebble.Set(metaKey(metaInterval, name), value, pebble.NoSync); err != nil {
			return 0, wrapStore(t.name, err)
		}
	}
	t.db.intervals[name], t.interval = want, want
	return want, nil
}

// Interval is that of the table: [Table.Interval].
func (b *TableBatch) Interval(want int64) (int64, error) { return b.table.Interval(want) }

// forgetInterval removes the interval of a table on disk.
func (b *Batch) forgetInterval(t *Table) {
	// As in forget.
	_ = b.onDisk().Delete(metaKey(metaInterval, t.name), nil)
	b.meta = append(b.meta, func(d *DB) { delete(d.intervals, t.name) })
}

// Interval returns the interval of the segments by which the named table's rows are kept,
// in ms; 0 if nobody has asked for one.
func (s *Snapshot) Interval(table string) int64 {
	t, ok := s.tables[table]
	if !ok {
		return 0
	}
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	return s.db.intervals[t.metaName]
}
