package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// maxBatch keeps a batch below Pebble's bound of 4 GB, with room for the data that is
// added last.
const maxBatch = 3 << 30

// Batch is one atomic change of a task's committed state. Only the task's goroutine may
// use it.
type Batch struct {
	db     *DB
	pebble any   // a *pebble.Batch; nil before the first change on disk
	size   int   // bytes of the last one; the next one begins with that much room
	bulk   *bulk // nil: the rows on disk are added in the order of their changes
	tables []*TableBatch
	meta   []func(*DB) // the changes of the metadata in memory
	raised bool        // see raiseVersion
}

// NewBatch returns an empty batch.
func (d *DB) NewBatch() *Batch { return &Batch{db: d} }

// NewBulk returns an empty batch for very many changes. It keeps them until Apply, and
// adds them in the order of their keys. This makes Apply, and what the database does
// later in the background, cheaper than with the same changes in any order.
func (d *DB) NewBulk() *Batch { return &Batch{db: d, bulk: &bulk{}} }

// Table returns the part of the batch that changes t.
func (b *Batch) Table(t *Table) *TableBatch {
	for _, tb := range b.tables {
		if tb.table == t {
			return tb
		}
	}
	tb := &TableBatch{batch: b, table: t}
	b.tables = append(b.tables, tb)
	return tb
}

// SetPosition sets the table's position in its changelog topic: the next offset to read.
func (b *Batch) SetPosition(t *Table, topic string, next int64) {
	name := t.metaName(topic)
	if t.Persistent() {
		b.setMeta(metaPosition, name, binary.BigEndian.AppendUint64(nil, uint64(next)))
	}
	b.meta = append(b.meta, func(d *DB) { d.positions[name] = next })
}

// SetTopicID notes the ID of the changelog topic from which the table is filled.
func (b *Batch) SetTopicID(t *Table, topic string, id [16]byte) {
	name := t.metaName(topic)
	if t.Persistent() {
		b.setMeta(metaTopicID, name, id[:])
	}
	b.meta = append(b.meta, func(d *DB) { d.topicIDs[name] = id })
}

// SetTime sets a named operator time.
func (b *Batch) SetTime(name string, at int64) {
	if b.db.pebble != nil {
		b.setMeta(metaTime, name, binary.BigEndian.AppendUint64(nil, uint64(at)))
	}
	b.meta = append(b.meta, func(d *DB) { d.times[name] = at })
}

// SetStamp notes the wall clock. A later start uses it to see how old the state is.
func (b *Batch) SetStamp(now time.Time) {
	if b.db.pebble != nil {
		b.setMeta(metaStamp, "", binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli())))
	}
	b.meta = append(b.meta, func(d *DB) { d.stamp = now })
}

// forget removes position and topic ID of a changelog.
func (b *Batch) forget(t *Table, topic string) {
	name := t.metaName(topic)
	if t.Persistent() {
		// A pebble.Batch without an index only fails if its database is closed. Apply
		// returns that error.
		_ = diskBatch(b).Delete(metaKey(metaPosition, name), nil)
		_ = diskBatch(b).Delete(metaKey(metaTopicID, name), nil)
	}
	b.meta = append(b.meta, func(d *DB) {
		delete(d.positions, name)
		delete(d.topicIDs, name)
	})
}

// forgetTable removes the name of a table on disk, and the interval of its segments.
func (b *Batch) forgetTable(t *Table) {
	// The error is ignored as in forget.
	_ = diskBatch(b).Delete(metaKey(metaTable, t.name), nil)
	_ = diskBatch(b).Delete(metaKey(metaSwept, t.name), nil)
	b.meta = append(b.meta, func(d *DB) {
		delete(d.ids, t.name)
		delete(d.swept, t.name)
		delete(d.firsts, t.name)
	})
	b.forgetInterval(t)
}

func (b *Batch) setMeta(kind byte, name string, value []byte) {
	// The error is ignored as in forget.
	_ = diskBatch(b).Set(metaKey(kind, name), value, nil)
}

// diskBatch returns the batch for the database on disk, and makes it first if need be.
func diskBatch(b *Batch) *pebble.Batch {
	if b.pebble == nil {
		b.pebble = database(b.db).NewBatchWithSize(b.size)
	}
	return b.pebble.(*pebble.Batch)
}

// addBulk adds the changes of a bulk to the batch for the database on disk.
func (b *Batch) addBulk() error {
	if b.bulk == nil || len(b.bulk.rows) == 0 {
		return nil
	}
	return b.bulk.addTo(diskBatch(b))
}

// applyMemory applies the batch to the tables and the metadata in memory.
func (b *Batch) applyMemory() {
	for _, tb := range b.tables {
		for _, c := range tb.changes {
			c.apply(tb.table.memory)
		}
		tb.applySegments()
	}
	for _, f := range b.meta {
		f(b.db)
	}
}

// Reset empties the batch.
func (b *Batch) Reset() {
	if b.pebble != nil {
		// A batch that was committed cannot be used again.
		_ = diskBatch(b).Close()
		b.pebble = nil
	}
	for _, tb := range b.tables {
		tb.changes, tb.segments = cut(tb.changes, 0), tb.segments[:0]
		tb.logged, tb.noted, tb.replay, tb.unswept = 0, false, nil, false
	}
	if b.bulk != nil {
		*b.bulk = bulk{}
	}
	b.raised = false
	b.meta = cut(b.meta, 0)
}

// Close releases the batch.
func (b *Batch) Close() { b.Reset() }

// TableBatch is the part of a Batch that changes one table. It copies its arguments. If a
// key is changed several times, the last change wins.
type TableBatch struct {
	batch   *Batch
	table   *Table
	changes []memoryChange // of an in-memory table

	replay  Replay // see Replaying
	unswept bool   // see Restored

	// Of a window store's table; see segments.go.
	logged   int64 // later changes are at or after this changelog offset
	segments []segmentChange
	segment  int64 // of the last change, if noted
	noted    bool
}

// memoryChange is a set (row != nil), a deletion, or a deletion of a range.
type memoryChange struct {
	key     string
	row     []byte
	isRange bool
	end     string
	bounded bool
}

func (c *memoryChange) apply(t *tree) {
	switch {
	case c.isRange:
		t.deleteRange(c.key, c.end, c.bounded, func(string, any) {})
	case c.row == nil:
		t.delete(c.key)
	default:
		t.set(c.key, c.row)
	}
}

// Set adds a row with a value of format 0.
func (b *TableBatch) Set(key []byte, timestamp int64, value []byte) error {
	return b.Put(key, Stored{Value: value, Timestamp: timestamp})
}

// Put adds a row.
func (b *TableBatch) Put(key []byte, s Stored) error {
	b.note(key)
	if b.table.memory != nil {
		row := make([]byte, s.size())
		s.put(row)
		b.addMemory(memoryChange{key: string(key), row: row})
		return nil
	}
	if err := b.room(len(key) + len(s.Value)); err != nil {
		return err
	}
	if s.Format != 0 {
		b.batch.raiseVersion()
	}
	b.table.known.note(key)
	prefix := b.table.prefix
	if bulk := b.batch.bulk; bulk != nil {
		s.put(bulk.set(prefix, key, s.size()))
		return nil
	}
	op := diskBatch(b.batch).SetDeferred(len(prefix)+len(key), s.size())
	copy(op.Key[copy(op.Key, prefix):], key)
	s.put(op.Value)
	return op.Finish()
}

// Delete removes a row.
func (b *TableBatch) Delete(key []byte) error {
	b.note(key)
	if b.table.memory != nil {
		b.addMemory(memoryChange{key: string(key)})
		return nil
	}
	if err := b.room(len(key)); err != nil {
		return err
	}
	prefix := b.table.prefix
	if bulk := b.batch.bulk; bulk != nil {
		bulk.delete(prefix, key)
		return nil
	}
	op := diskBatch(b.batch).DeleteDeferred(len(prefix) + len(key))
	copy(op.Key[copy(op.Key, prefix):], key)
	return op.Finish()
}

// DeleteRange removes the rows with from <= key < to. Nil bounds are open; without both,
// the table's Past is emptied too. Rows that are added to the batch later stay.
func (b *TableBatch) DeleteRange(from, to []byte) error {
	if to != nil && bytes.Compare(from, to) >= 0 {
		return nil
	}
	if err := b.batch.addBulk(); err != nil { // the range is for earlier changes only
		return err
	}
	if from == nil && to == nil {
		b.deletePast()
	}
	b.dropSegments(from, to)
	if b.table.memory != nil {
		b.addMemory(memoryChange{key: string(from), isRange: true, end: string(to), bounded: to != nil})
		return nil
	}
	if from != nil || to != nil {
		b.table.known.giveUp()
	}
	prefix := b.table.prefix
	end := PrefixEnd(prefix)
	if to != nil {
		end = concat(prefix, to)
	}
	return diskBatch(b.batch).DeleteRange(concat(prefix, from), end, nil)
}

func (b *TableBatch) addMemory(c memoryChange) {
	b.changes = append(b.changes, c)
}

// room refuses a change that would make the batch too large for Pebble, which would
// panic.
func (b *TableBatch) room(n int) error {
	size := diskBatch(b.batch).Len() + n
	if b.batch.bulk != nil {
		size += b.batch.bulk.size
	}
	if size > maxBatch {
		return fmt.Errorf("store %s: the changes of one commit take more than %d bytes: commit more often, or lower StateMemory", b.table.name, maxBatch)
	}
	return nil
}
