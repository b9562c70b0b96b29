package query

import (
	"bytes"
	"context"
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
)

// reading reads rows of one partition.
type reading struct {
	ctx       context.Context
	snapshot  *engine.Snapshot
	spec      *store.Spec
	partition int32
	reverse   bool
}

// get returns the row with a key, the first one of a store with duplicates.
func (q *reading) get(key []byte) (Row, bool, error) {
	if q.spec.Duplicates {
		return q.first(key)
	}
	local, err := q.spec.RowKey(q.spec.IntervalIn(q.snapshot), key)
	if err != nil {
		return Row{}, false, err
	}
	found, ok, err := q.snapshot.Get(q.spec.Name, local)
	if err != nil || !ok {
		return Row{}, false, err
	}
	row, err := q.row(key, found)
	return row, err == nil, err
}

// row returns a row of the store, with its value in the newest format.
func (q *reading) row(key []byte, found engine.Stored) (Row, error) {
	value, err := q.spec.Current(key, found)
	return Row{Key: key, Value: value, Timestamp: found.Timestamp, Partition: q.partition}, err
}

// first returns the first of the rows with a key and window start.
func (q *reading) first(query []byte) (Row, bool, error) {
	key, start, ok := store.SplitQueryKey(query)
	if !ok {
		_, err := q.spec.RowKey(q.spec.Segments(), query) // says what is wrong
		return Row{}, false, err
	}
	for row, err := range q.windows(Windows{Key: key, From: start, To: start}) {
		row.Key, row.Value = query, bytes.Clone(row.Value)
		return row, err == nil, err
	}
	return Row{}, false, nil
}

// rows yields the rows of a range that fits the store.
func (q *reading) rows(r *Range) iter.Seq2[Row, error] {
	if r.Windows != nil {
		return q.windows(*r.Windows)
	}
	return func(yield func(Row, error) bool) {
		lower, upper := r.bounds()
		q.scan(lower, upper, nil, yield)
	}
}

// windows yields the rows of windows.
func (q *reading) windows(w Windows) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if w.To < 0 || w.From > w.To {
			return
		}
		w.From = max(w.From, 0)
		layout := store.Segmented{Interval: q.spec.IntervalIn(q.snapshot)}
		first, last := layout.Segments(q.spec.WindowsIn(w.From, w.To))
		if w.Key == nil {
			lower, upper := layout.SegmentBounds(first, last)
			q.scan(lower, upper, q.wanted(&w), yield)
			return
		}
		q.ofKey(layout, &w, first, last, yield)
	}
}

// wanted returns a function that reports whether a row is one of the windows.
func (q *reading) wanted(w *Windows) func(local []byte) bool {
	return func(local []byte) bool {
		key, ok := q.spec.HasWindow(local, w.From, w.To)
		return ok && (w.Key == nil || bytes.Equal(key, w.Key))
	}
}

// ofKey yields the rows of one key in the segments from first to last.
func (q *reading) ofKey(layout store.Segmented, w *Windows, first, last int64, yield func(Row, error) bool) {
	wanted := q.wanted(w)
	for first <= last {
		segment, ok, err := q.nextSegment(layout, first, last)
		if err != nil {
			yield(Row{}, err)
			return
		}
		if !ok {
			return
		}
		lower, upper := q.spec.WindowBounds(layout.Interval, segment, w.Key, w.From, w.To)
		if !q.scan(lower, upper, wanted, yield) {
			return
		}
		if q.reverse {
			last = segment - 1
		} else {
			first = segment + 1
		}
	}
}

// nextSegment returns the next segment from first to last that has rows. Most segments of
// a long time have none: without it, a query over all time would look into billions.
func (q *reading) nextSegment(layout store.Segmented, first, last int64) (segment int64, ok bool, err error) {
	if err := q.ctx.Err(); err != nil {
		return 0, false, err
	}
	lower, upper := layout.SegmentBounds(first, last)
	rows, err := q.snapshot.Scan(q.spec.Name, lower, upper)
	if err != nil {
		return 0, false, err
	}
	if ok = q.step(rows); ok {
		segment = layout.SegmentOf(rows.Key())
	}
	return segment, ok, rows.Close()
}

// step goes to the next row in the direction of the query.
func (q *reading) step(rows *engine.Rows) bool {
	if q.reverse {
		return rows.Prev()
	}
	return rows.Next()
}

// scan yields the rows between two bounds that are wanted; a nil wanted stands for all.
// It reports whether to go on.
func (q *reading) scan(lower, upper []byte, wanted func(local []byte) bool, yield func(Row, error) bool) bool {
	rows, err := q.snapshot.Scan(q.spec.Name, lower, upper)
	if err != nil {
		yield(Row{}, err)
		return false
	}
	for err = q.ctx.Err(); err == nil && q.step(rows); err = q.ctx.Err() {
		if wanted != nil && !wanted(rows.Key()) {
			continue
		}
		var row Row
		if row, err = q.row(q.spec.QueryKey(rows.Key()), rows.Stored()); err != nil {
			break
		}
		if !yield(row, nil) {
			_ = rows.Close() // the caller has what it wanted
			return false
		}
	}
	if closing := rows.Close(); err == nil {
		err = closing
	}
	if err != nil {
		yield(Row{}, err)
	}
	return err == nil
}
