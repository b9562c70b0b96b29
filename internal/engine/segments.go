package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// A window store's changelog is trimmed up to the first record of a segment that the
// store still has. For that, the table keeps for each of its segments an offset at or
// below the segment's first record:
//
//   - Records of a transaction are at or after the table's position before it.
//   - Restored records have offsets.
//   - If neither is known, for example for a segment from an earlier version of the
//     program, the offset is 0. Nothing is then trimmed until that segment has expired.
//
// A deletion of a row counts like the row. An offset is written in the batch that writes
// the segment's first row, and removed in the batch that removes the segment.

// segmentChange is the change of one segment's offset by a batch.
type segmentChange struct {
	segment int64
	first   int64
	gone    bool
}

// Logged says that the following changes are at or after this offset of the changelog. It
// starts at 0.
func (b *TableBatch) Logged(offset int64) { b.logged = offset }

// note is called for each changed key. Only the first change of a segment costs more than
// a comparison.
func (b *TableBatch) note(key []byte) {
	if b.table.interval == 0 || b.table.isPast || len(key) < segmentSize {
		return
	}
	segment := int64(binary.BigEndian.Uint64(key))
	if b.noted && segment == b.segment {
		return
	}
	b.segment, b.noted = segment, true
	if !b.knows(segment) {
		b.changeSegment(segmentChange{segment: segment, first: b.logged})
	}
}

// knows reports whether the segment has an offset, as far as the batch goes.
func (b *TableBatch) knows(segment int64) bool {
	for i := len(b.segments) - 1; i >= 0; i-- {
		if c := b.segments[i]; c.segment == segment {
			return !c.gone
		}
	}
	_, ok := b.table.firsts[segment]
	return ok
}

// dropSegments forgets the segments that are completely between two keys.
func (b *TableBatch) dropSegments(from, to []byte) {
	b.noted = false
	covered := func(segment int64) bool {
		return bytes.Compare(segmentKey(segment), from) >= 0 && (to == nil || bytes.Compare(segmentKey(segment+1), to) <= 0)
	}
	for segment := range b.table.firsts {
		if covered(segment) && b.knows(segment) {
			b.changeSegment(segmentChange{segment: segment, gone: true})
		}
	}
	for _, c := range b.segments {
		if covered(c.segment) && b.knows(c.segment) {
			b.changeSegment(segmentChange{segment: c.segment, gone: true})
		}
	}
}

func (b *TableBatch) changeSegment(c segmentChange) {
	b.segments = append(b.segments, c)
	if !b.table.Persistent() {
		return
	}
	key := metaKey(metaSegment, b.table.name+string(segmentKey(c.segment)))
	// The error is ignored as in Batch.forget.
	if c.gone {
		_ = diskBatch(b.batch).Delete(key, nil)
	} else {
		_ = diskBatch(b.batch).Set(key, binary.BigEndian.AppendUint64(nil, uint64(c.first)), nil)
	}
}

// applySegments applies the changes of the batch to the offsets in memory.
func (b *TableBatch) applySegments() {
	for _, c := range b.segments {
		if c.gone {
			delete(b.table.firsts, c.segment)
		} else {
			b.table.firsts[c.segment] = c.first
		}
	}
}

// LiveFrom returns an offset of the changelog topic below which there is no record of any
// row in a window store's table. The records below it are no longer needed. It is 0 if
// unknown.
func (d *DB) LiveFrom(t *Table, topic string) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.interval == 0 {
		return 0
	}
	live := d.positions[t.metaName(topic)]
	for _, first := range t.firsts {
		live = min(live, first)
	}
	return live
}

// findSegments gives offset 0 to segments that have rows but no offset. The caller holds
// d.mu.
func (t *Table) findSegments() error {
	if t.isPast {
		return nil // its changelog is never trimmed
	}
	var from []byte
	for {
		segment, ok, err := t.segmentFrom(from)
		if err != nil || !ok {
			return err
		}
		if _, known := t.firsts[segment]; !known {
			t.firsts[segment] = 0
		}
		from = segmentKey(segment + 1)
	}
}

// segmentFrom returns the segment of the first row at or after a key.
func (t *Table) segmentFrom(key []byte) (segment int64, ok bool, err error) {
	rows, err := t.Scan(key, nil)
	if err != nil {
		return 0, false, err
	}
	if ok = rows.Next() && len(rows.Key()) >= segmentSize; ok {
		segment = int64(binary.BigEndian.Uint64(rows.Key()))
	}
	return segment, ok, rows.Close()
}

const segmentSize = 8 // bytes of a segment in a local key

func segmentKey(segment int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(segment))
}

// readSegment reads an offset from the metadata. name is the table's name and the
// segment.
func (d *DB) readSegment(name string, first int64) error {
	n := len(name) - segmentSize
	if n < 0 {
		return fmt.Errorf("segment of a window store has a name of %d bytes", len(name))
	}
	d.firstsOf(name[:n])[int64(binary.BigEndian.Uint64([]byte(name[n:])))] = first
	return nil
}

// firstsOf returns the offsets of the segments of a table on disk.
func (d *DB) firstsOf(table string) map[int64]int64 {
	if d.firsts[table] == nil {
		d.firsts[table] = map[int64]int64{}
	}
	return d.firsts[table]
}
