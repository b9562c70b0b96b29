package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// SessionLayout says where the rows of a session store lie: by segments of session ends.
//
//	local key      [8B segment][key][8B end][8B start]
//	changelog key              [key][8B end][8B start]
//
// Numbers are big-endian. The changelog key is that of Kafka Streams' SessionKeySchema.
//
// Starts are not negative, and ends are not before their starts.
type SessionLayout struct{ Segmented }

const (
	sessionEnd    = 8 // bytes of a session's end
	sessionBounds = 16
)

// NewSessionLayout returns the layout with segments of an interval in ms.
func NewSessionLayout(interval int64) SessionLayout { return SessionLayout{Segmented{interval}} }

// AppendKey appends the local key of a row.
func (l SessionLayout) AppendKey(dst, key []byte, start, end int64) []byte {
	dst = append(l.AppendSegment(dst, end), key...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(end))
	return binary.BigEndian.AppendUint64(dst, uint64(start))
}

// AppendLocal appends the local key for a changelog key, which must be one of a session.
func (l SessionLayout) AppendLocal(dst, changelogKey []byte) []byte {
	end, _ := boundsOf(changelogKey[len(changelogKey)-sessionBounds:])
	return append(l.AppendSegment(dst, end), changelogKey...)
}

// SplitSession returns the parts of a local key; key is a part of local. ok is false if
// it is none.
func SplitSession(local []byte) (key []byte, start, end int64, ok bool) {
	n := len(local) - sessionBounds
	if n < SegmentBytes {
		return nil, 0, 0, false
	}
	end, start = boundsOf(local[n:])
	return local[SegmentBytes:n], start, end, true
}

// KeyBounds returns the bounds, for Scan, of the rows of one segment with the key and
// from <= end. Rows of longer keys may lie in between: their local keys are longer.
func (l SessionLayout) KeyBounds(segment int64, key []byte, from int64) (lower, upper []byte) {
	prefix := append(segmentKey(segment), key...)
	upper = append(bytes.Clone(prefix), lastBounds...)
	return binary.BigEndian.AppendUint64(prefix, uint64(max(from, 0))), upper
}

// RangeBounds returns bounds of the rows of one segment with first <= key <= last (nil:
// open). Rows of other keys may lie in between.
func (l SessionLayout) RangeBounds(segment int64, first, last []byte) (lower, upper []byte) {
	lower = append(segmentKey(segment), first...)
	if last == nil {
		return lower, segmentKey(segment + 1)
	}
	return lower, upperBound(last, func(key []byte) []byte {
		return append(append(segmentKey(segment), key...), lastBounds...)
	})
}

// lastBounds comes behind the end and the start of every session.
var lastBounds = bytes.Repeat([]byte{0xff}, sessionBounds)

// sessionRowKey is Kind.rowKey. A key of a query is the changelog's.
func sessionRowKey(interval int64, query []byte) ([]byte, error) {
	n := len(query) - sessionBounds
	if n < 0 {
		return nil, fmt.Errorf("the key of a session has %d bytes, fewer than the %d of its end and start", len(query), sessionBounds)
	}
	if end, start := boundsOf(query[n:]); start < 0 || end < start {
		return nil, fmt.Errorf("the key of a session has the start %d and the end %d", start, end)
	}
	return NewSessionLayout(interval).AppendLocal(nil, query), nil
}

// sessionQueryKey is Kind.queryKey.
func sessionQueryKey(row []byte) []byte { return row[SegmentBytes:] }

// sessionReads are the sessions that share a time with a range.
var sessionReads = &windowReads{
	times: func(from, _ int64) (first, last int64) { return from, math.MaxInt64 },
	keyBounds: func(interval, segment int64, key []byte, from, _ int64) (lower, upper []byte) {
		return NewSessionLayout(interval).KeyBounds(segment, key, from)
	},
	within: func(local []byte, from, to int64) (key []byte, ok bool) {
		key, start, end, ok := SplitSession(local)
		return key, ok && end >= from && start <= to
	},
}
