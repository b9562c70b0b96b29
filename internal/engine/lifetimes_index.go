package engine

// indexAtOnce is how many rows are added to an index with one batch.
const indexAtOnce = 1 << 14

// IndexLifetimes makes the table's past the index that a store with a TTL in ms needs. 0
// stands for a store without one, which needs none. If the store had another TTL in an
// earlier version of the program, all rows are read. Call it before rows are restored.
//
// The interval of the past is known if, and only if, the index is complete.
func (t *Table) IndexLifetimes(ttl int64) error {
	want := int64(0)
	if ttl > 0 {
		want = lifetimeInterval(ttl)
	}
	known := t.pastInterval()
	if known == want {
		return nil
	}
	if known > 0 {
		if err := t.clearPast(); err != nil {
			return err
		}
	}
	if want == 0 {
		return nil
	}
	return t.buildLifetimes(want)
}

// pastInterval returns the interval of the segments of the table's past, 0 if it has
// none.
func (t *Table) pastInterval() int64 {
	t.db.mu.Lock()
	defer t.db.mu.Unlock()
	return t.db.intervals[t.metaName(t.name)]
}

// clearPast empties the past, and forgets the interval of its segments.
func (t *Table) clearPast() error {
	past := t.Past()
	b := t.db.NewBatch()
	defer b.Close()
	b.Table(t).deletePast()
	b.forgetInterval(t)
	past.interval = 0
	return t.db.Apply(b)
}

// buildLifetimes adds all rows to the index. An earlier call may have been interrupted.
func (t *Table) buildLifetimes(interval int64) error {
	if err := t.clearPast(); err != nil {
		return err
	}
	index := lifetimeIndex{t.Past(), interval}
	for from, more := []byte(nil), true; more; {
		b := t.db.NewBatch()
		next, err := index.addFrom(b, t, from)
		if err == nil {
			err = t.db.Apply(b)
		}
		b.Close()
		if err != nil {
			return wrapStore(t.name, err)
		}
		from, more = next, next != nil
	}
	_, err := t.Past().Interval(interval)
	return err
}

// addFrom adds rows to a batch, and returns the key of the row to continue with.
func (x lifetimeIndex) addFrom(b *Batch, t *Table, from []byte) (next []byte, err error) {
	rows, err := t.Scan(from, nil)
	if err != nil {
		return nil, err
	}
	for n := 0; err == nil && rows.Next(); n++ {
		if n == indexAtOnce {
			next = append([]byte{}, rows.Key()...)
			break
		}
		err = b.Table(x.past).Set(x.appendKey(nil, rows.Key(), rows.Timestamp()), rows.Timestamp(), nil)
	}
	if closed := rows.Close(); err == nil {
		err = closed
	}
	return next, err
}

// IndexLifetime adds a restored row to the index, if there is one. Without one, the store
// builds it from all rows when it is opened.
func (b *TableBatch) IndexLifetime(key []byte, at int64) error {
	interval := b.table.pastInterval()
	if interval == 0 {
		return nil
	}
	past := b.Past()
	past.table.key = lifetimeIndex{past.table, interval}.appendKey(past.table.key[:0], key, at)
	return past.Set(past.table.key, at, nil)
}
