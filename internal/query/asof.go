package query

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
)

var errNoVersions = errors.New("the store keeps no versions: make the table with topology.Versioned, or the store with versionedstore.New")

// GetAsOf is Get with the version that was valid at a time, in ms. The timestamp of the
// row is the time from which the version is valid.
func (s *Store) GetAsOf(ctx context.Context, hashed, key []byte, at int64) (Row, bool, error) {
	if s.Spec.Kind != store.Versioned {
		return Row{}, false, errNoVersions
	}
	return s.find(hashed, func(p int32) (Row, bool, error) {
		return s.in(ctx, p, func(q *reading) (Row, bool, error) { return q.asOf(key, at) })
	})
}

// asOf returns the version of a key that was valid at a time.
func (q *reading) asOf(key []byte, at int64) (Row, bool, error) {
	newest, ok, err := q.snapshot.Get(q.spec.Name, key)
	if err != nil {
		return Row{}, false, err
	}
	if ok && newest.Timestamp <= at {
		row, err := q.row(key, newest)
		return row, err == nil, err
	}
	layout := store.NewPastLayout(q.spec.IntervalIn(q.snapshot))
	after := engine.Later(at, 1)
	for segment, _ := layout.Segments(after, after); ; segment++ {
		if err := q.ctx.Err(); err != nil {
			return Row{}, false, err
		}
		var ok bool
		if segment, ok, err = q.pastSegment(layout, segment); err != nil || !ok {
			return Row{}, false, err
		}
		row, end, ok, err := q.firstPast(layout, segment, key, at)
		if err != nil || ok {
			return row, ok && row.Timestamp <= at && row.Timestamp < end, err
		}
	}
}

// pastSegment returns the first segment of the past with rows, from a segment on.
func (q *reading) pastSegment(layout store.PastLayout, from int64) (segment int64, ok bool, err error) {
	lower, _ := layout.SegmentBounds(from, from)
	rows, err := q.snapshot.ScanPast(q.spec.Name, lower, nil)
	if err != nil {
		return 0, false, err
	}
	if ok = rows.Next(); ok {
		segment = layout.SegmentOf(rows.Key())
	}
	return segment, ok, rows.Close()
}

// firstPast returns the first version of a key in a segment that ends after a time, and
// its end.
func (q *reading) firstPast(layout store.PastLayout, segment int64, key []byte, at int64) (row Row, end int64, ok bool, err error) {
	lower, upper := layout.KeyBounds(segment, key, at)
	rows, err := q.snapshot.ScanPast(q.spec.Name, lower, upper)
	if err != nil {
		return row, 0, false, err
	}
	for !ok && rows.Next() {
		var found []byte
		if found, end, ok = store.SplitPast(rows.Key()); ok && !bytes.Equal(found, key) {
			ok = false // a longer key
		}
	}
	if ok {
		row, err = q.row(key, rows.Stored())
		row.Value = bytes.Clone(row.Value)
	}
	if err := errors.Join(err, rows.Close()); err != nil {
		return Row{}, 0, false, fmt.Errorf("the past of a key: %w", err)
	}
	return row, end, ok, nil
}
