package engine

// Replay applies changelog records that depend on the rows of earlier records. It keeps
// the rows that it has not added to the batch yet.
type Replay interface {
	// Flush adds the rest to the batch.
	Flush(b *TableBatch) error
}

// Replaying returns the replay of the batch. The first call begins it. DB.Apply flushes
// it.
func (b *TableBatch) Replaying(begin func(t *Table) (Replay, error)) (Replay, error) {
	if b.replay == nil {
		r, err := begin(b.table)
		if err != nil {
			return nil, err
		}
		b.replay = r
	}
	return b.replay, nil
}

// Past returns the part of the batch that changes the table's past.
func (b *TableBatch) Past() *TableBatch { return b.batch.Table(b.table.Past()) }

// flushReplays flushes the replays of all tables. They may add tables to the batch.
func (b *Batch) flushReplays() error {
	for i := 0; i < len(b.tables); i++ {
		tb := b.tables[i]
		if tb.replay == nil {
			continue
		}
		replay := tb.replay
		tb.replay = nil
		if err := replay.Flush(tb); err != nil {
			return err
		}
	}
	return nil
}
