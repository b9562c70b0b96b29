package engine

import "bytes"

const (
	// sweepRows and sweepBytes are how much a sweep converts in one commit. sweepLook is
	// how many rows it looks at for each row that it may convert: rows that are converted
	// already are only read.
	sweepRows  = 4000
	sweepBytes = 4 << 20
	sweepLook  = 10
)

// SweepPart is how much of a sweep still fits into one commit.
type SweepPart struct{ rows, bytes, looks int }

// SweepPart returns what fits into the batch.
func (b *TableBatch) SweepPart() *SweepPart {
	rows := b.batch.db.o.SweepRows
	return &SweepPart{rows, sweepBytes, rows * sweepLook}
}

// Look reports whether another row may be looked at.
func (p *SweepPart) Look() bool {
	p.looks--
	return p.looks >= 0 && p.rows > 0 && p.bytes > 0
}

// Converted takes the room of a converted row.
func (p *SweepPart) Converted(size int) { p.rows, p.bytes = p.rows-1, p.bytes-size }

// sweep writes all rows of a table in the newest format, some at each commit, in order of
// their keys. Rows that are written meanwhile have the newest format, so one pass is
// enough. If a sweep is interrupted, the next one begins again, and finds the rows that
// are converted already.
type sweep struct {
	next []byte // the key to continue at
	rows int64  // that were converted
	seen bool   // there are rows
	end  bool   // the batch of the last Flush has the rest
}

// BeginSweep begins the conversion of all rows to the newest format, unless the table was
// swept before. before is how many rows of the table's past were converted for it.
func (c *Cells[K, V]) BeginSweep(before int64) {
	if c.env.Table.Swept() >= c.format {
		c.env.converted(0, false)
		return
	}
	c.sweep = &sweep{rows: before, seen: before > 0}
	c.env.AskAgain()
}

// Sweeps reports whether rows are being converted.
func (c *Cells[K, V]) Sweeps() bool { return c.sweep != nil }

// flushSweep adds a part of the sweep to a batch. It is called before the changed rows
// are added.
func (c *Cells[K, V]) flushSweep(b *TableBatch) error {
	rows, err := c.env.Table.Scan(c.sweep.next, nil)
	if err != nil {
		return err
	}
	c.sweep.end = true
	part := b.SweepPart()
	for err == nil && rows.Next() {
		if !part.Look() {
			c.sweep.next, c.sweep.end = bytes.Clone(rows.Key()), false
			break
		}
		c.sweep.seen = true
		row := rows.Stored()
		if row.Format == c.format || c.changed(rows.Key()) {
			continue
		}
		c.sweep.rows++
		part.Converted(len(row.Value))
		err = c.rewrite(b, bytes.Clone(rows.Key()), row)
	}
	if closed := rows.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	switch {
	case !c.sweep.end:
		c.env.AskAgain()
	case c.sweep.seen: // an empty table costs nothing to sweep again
		b.SetSwept(c.format)
	}
	return nil
}

// changed reports whether the next Flush writes a row.
func (c *Cells[K, V]) changed(key []byte) bool {
	cell := c.cells[string(key)]
	return cell != nil && cell.dirty != 0
}

// rewrite logs a row of an earlier format in the newest one, and adds it to a batch. The
// row keeps its timestamp. A cell of the row has the same value.
func (c *Cells[K, V]) rewrite(b *TableBatch, key []byte, row Stored) error {
	value, err := c.value(key, row)
	if err != nil {
		return err
	}
	data, err := c.encode(value, Origin{})
	if err != nil {
		return err
	}
	if err := c.logRow(key, data, row.Timestamp, &Origin{}); err != nil {
		return err
	}
	return b.Put(key, Stored{Value: data, Timestamp: row.Timestamp, Format: c.format})
}

// committedSweep ends the sweep, if its last part was applied.
func (c *Cells[K, V]) committedSweep() {
	if c.sweep.end {
		c.env.converted(c.sweep.rows, c.sweep.seen)
		c.sweep = nil
	}
}
