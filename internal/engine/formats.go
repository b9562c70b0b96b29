package engine

import (
	"encoding/binary"
	"fmt"
)

// A store whose values have a new format converts the rows of earlier formats. Rows are
// told apart by the number of their format: see [Stored]. A row is converted whenever it
// is read, and a sweep writes all rows in the newest format: see sweep.

// Convert returns the value of a row that has another format than the newest one. f
// converts values of earlier formats, and is nil if the program knows none.
func Convert(store string, f func(uint8, []byte) (any, error), newest uint8, key []byte, row Stored) (value any, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("store %s: convert the row with the key %q from format %d to %d: %w", store, key, row.Format, newest, err)
		}
	}()
	if f == nil || row.Format > newest {
		return nil, &UnknownFormatError{Format: row.Format, Newest: newest}
	}
	defer Guard(&err)
	return f(row.Format, row.Value)
}

// Swept returns the format that all rows of the table are known to have, or a later one.
func (t *Table) Swept() uint8 {
	if t.db == nil {
		return 0
	}
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	return t.db.swept[t.metaName(t.name)]
}

// LowerSwept withdraws the note that all rows have a format that is later than the newest
// one of the store. Call it when the store is opened: an earlier version of the program
// may have come back while the store was empty.
func (t *Table) LowerSwept(newest uint8) error {
	if t.Swept() <= newest {
		return nil
	}
	b := t.db.NewBatch()
	defer b.Close()
	b.Table(t).SetSwept(0)
	return wrapStore(t.name, t.db.Apply(b))
}

// SetSwept notes that all rows of the table have a format, or a later one. 0 withdraws an
// earlier note.
func (b *TableBatch) SetSwept(format uint8) {
	name := b.table.metaName(b.table.name)
	if b.table.Persistent() {
		b.batch.setMeta(metaSwept, name, binary.BigEndian.AppendUint64(nil, uint64(format)))
	}
	b.batch.meta = append(b.batch.meta, func(d *DB) { d.swept[name] = format })
}

// Restored notes that a row of a format was restored. If the table was swept to a later
// one, it is no longer.
func (b *TableBatch) Restored(format uint8) {
	if !b.unswept && format < b.table.Swept() {
		b.unswept = true
		b.SetSwept(0)
	}
}

// raiseVersion makes the database one that versions of the library which know no formats
// refuse to open.
func (b *Batch) raiseVersion() {
	if b.raised {
		return
	}
	b.raised = true
	b.db.mu.Lock()
	raised := b.db.version == formattedVersion
	b.db.mu.Unlock()
	if !raised {
		b.setMeta(metaFormat, "", binary.BigEndian.AppendUint64(nil, formattedVersion))
		b.meta = append(b.meta, func(d *DB) { d.version = formattedVersion })
	}
}
