package engine

import "encoding/binary"

// pastBit distinguishes the rows of a table's past from those of the table.
const pastBit = 1 << 31

// Past returns a second table that belongs to this one. It is for rows that this table
// had before. Its rows have an order of their own, and are wiped, dropped and moved
// together with this table. The interval of its segments is kept under this table's name.
func (t *Table) Past() *Table {
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	if t.past == nil {
		t.past = &Table{db: t.db, name: t.name, isPast: true}
		if t.memory != nil {
			t.past.memory = &tree{}
		} else {
			t.past.prefix = pastPrefix(t.prefix)
		}
	}
	return t.past
}

// pastPrefix returns the prefix of the past of a table with a prefix.
func pastPrefix(prefix []byte) []byte {
	return binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(prefix)|pastBit)
}

// deletePast empties the past of a table. It may be on disk without having been opened.
func (b *TableBatch) deletePast() {
	switch t := b.table; {
	case t.isPast:
	case t.memory == nil:
		prefix := pastPrefix(t.prefix)
		// The error is ignored as in Batch.forget.
		_ = diskBatch(b.batch).DeleteRange(prefix, PrefixEnd(prefix), nil)
	case t.past != nil:
		b.batch.Table(t.past).addMemory(memoryChange{isRange: true})
	}
}

// pastName is the name of the past of a table in a snapshot.
func pastName(table string) string { return table + "\x00past" }

// ScanPast is Scan of the past of the named table.
func (s *Snapshot) ScanPast(table string, lower, upper []byte) (*Rows, error) {
	return s.Scan(pastName(table), lower, upper)
}
