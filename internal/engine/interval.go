package engine

import (
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"
)

// intervals are the intervals of the segments of time, in ms, by which segmented stores
// keep the rows of their tables: by Table.metaName of the table. DB.mu guards them.
type intervals map[string]int64

// Interval returns the interval of the segments of the table's rows, in ms. A table that
// has been used keeps its first interval, because a later version of the program with
// another retention must find the existing rows. A new table takes want.
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
		// Pebble recovers a prefix of its writes. If a row is recovered, the interval is
		// recovered too.
		value := binary.BigEndian.AppendUint64(nil, uint64(want))
		if err := database(t.db).Set(metaKey(metaInterval, name), value, pebble.NoSync); err != nil {
			return 0, wrapStore(t.name, err)
		}
	}
	t.db.intervals[name], t.interval = want, want
	return want, nil
}

// Interval is that of the table: [Table.Interval].
func (b *TableBatch) Interval(want int64) (int64, error) { return b.table.Interval(want) }

// forgetInterval removes the interval of a table.
func (b *Batch) forgetInterval(t *Table) {
	name := t.metaName(t.name)
	if t.Persistent() {
		// The error is ignored as in forget.
		_ = diskBatch(b).Delete(metaKey(metaInterval, name), nil)
	}
	b.meta = append(b.meta, func(d *DB) { delete(d.intervals, name) })
}

// Interval returns the interval of the segments of the named table's rows, in ms. It is 0
// if none was ever requested.
func (s *Snapshot) Interval(table string) int64 {
	t, ok := s.tables[table]
	if !ok {
		return 0
	}
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	return s.db.intervals[t.metaName]
}
