package store

import (
	"bytes"
	"encoding/binary"

	"github.com/millrace-streams/millrace/internal/engine"
)

// Segmented is how stores whose rows expire lay them out: by segments of Interval ms of
// the time that a row expires by, which is the start of a window, or the end of a
// session. A local key begins with the number of its segment in eight bytes, big-endian:
// time / Interval. So a segment expires by one range deletion, and a scan over time reads
// what it returns.
//
// Times are not negative.
type Segmented struct{ Interval int64 }

const (
	// MinSegment is the smallest interval of segments in ms, as in Kafka Streams.
	MinSegment = 60_000

	// SegmentBytes is how many bytes of a local key come before the changelog key; see
	// engine.CellsConfig.
	SegmentBytes = 8
)

// SegmentInterval returns the interval of the segments of a new store with a retention,
// both in ms: max(retention/2, 60 s), as in Kafka Streams.
func SegmentInterval(retention int64) int64 { return max(retention/2, MinSegment) }

// AppendSegment appends the beginning of the local key of a row with a time.
func (l Segmented) AppendSegment(dst []byte, at int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(at/l.Interval))
}

// ExpiredBelow returns the smallest local key that outlives a store time. Rows below it
// belong to segments all of whose times are <= time-retention. nil means that nothing
// has expired.
func (l Segmented) ExpiredBelow(time, retention int64) []byte {
	live := engine.Later(time-retention, 1) / l.Interval
	if live <= 0 {
		return nil
	}
	return segmentKey(live)
}

// FirstTime returns the first time of the segment that a local key, or the beginning of
// one, is of.
func (l Segmented) FirstTime(local []byte) int64 {
	return int64(binary.BigEndian.Uint64(local)) * l.Interval
}

// Segments returns the segments of the times from..to, from <= to, both cut at 0.
func (l Segmented) Segments(from, to int64) (first, last int64) {
	return max(from, 0) / l.Interval, max(to, 0) / l.Interval
}

// SegmentBounds returns the bounds, for Scan, of the rows of the segments from first to
// last.
func (l Segmented) SegmentBounds(first, last int64) (lower, upper []byte) {
	return segmentKey(first), segmentKey(last + 1)
}

// SegmentOf returns the segment of a local key.
func (l Segmented) SegmentOf(local []byte) int64 { return int64(binary.BigEndian.Uint64(local)) }

// segmentKey returns what the local keys of a segment begin with.
func segmentKey(segment int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(segment)) }

// upperBound returns the largest local key of a row whose key is at most last. rowOf
// returns the largest one of a key. The row is one of last, or of a key that last begins
// with: after such a key the time follows, which may be above what follows in last.
func upperBound(last []byte, rowOf func(key []byte) []byte) (upper []byte) {
	for n := 0; n <= len(last); n++ {
		if row := rowOf(last[:n]); bytes.Compare(row, upper) > 0 {
			upper = row
		}
	}
	return upper
}

// LatestTime returns the largest time of the rows in a table, and the largest timestamp
// of the rows near it; -1 if there are no rows. Only rows of the last segment can be the
// latest. rowTime returns the time of a row by its local key, and ok false if there is
// none in it.
func (l Segmented) LatestTime(table *engine.Table, rowTime func(local []byte) (at int64, ok bool)) (latest, newest int64, err error) {
	latest, newest = -1, -1
	rows, err := table.Scan(nil, nil)
	if err != nil {
		return latest, newest, err
	}
	segment := int64(-1)
	for rows.Prev() {
		at, ok := rowTime(rows.Key())
		if !ok {
			continue
		}
		if in := at / l.Interval; segment < 0 {
			segment = in
		} else if in != segment {
			break
		}
		latest, newest = max(latest, at), max(newest, rows.Timestamp())
	}
	return latest, newest, rows.Close()
}
