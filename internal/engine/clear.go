package engine

import "time"

// Clear deletes all rows of the open tables, and all topic IDs, offsets and times of the
// database, as one change. It logs the reason. The tables stay open.
func (d *DB) Clear(reason string) error {
	d.mu.Lock()
	var tables []*Table
	for _, t := range d.tables {
		tables = append(tables, t)
	}
	d.mu.Unlock()
	d.log.Warn("clearing a local state", "directory", d.o.Dir, "reason", reason)
	b := d.NewBatch()
	defer b.Close()
	for _, t := range tables {
		if err := b.Table(t).DeleteRange(nil, nil); err != nil {
			return err
		}
	}
	b.forgetProgress()
	return d.Apply(b)
}

// forgetProgress removes positions, topic IDs, times, the stamp and the progress.
func (b *Batch) forgetProgress() {
	if b.db.pebble != nil {
		for _, kind := range []byte{metaPosition, metaTopicID, metaTime, metaStamp, metaProgress} {
			// The error is ignored as in forget.
			_ = diskBatch(b).DeleteRange(metaKey(kind, ""), metaKey(kind+1, ""), nil)
		}
	}
	b.meta = append(b.meta, func(d *DB) {
		clear(d.positions)
		clear(d.topicIDs)
		clear(d.times)
		d.stamp = time.Time{}
	})
}
