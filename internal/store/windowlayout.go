package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// WindowLayout says where the rows of a window store lie: by segments of window starts.
//
//	local key      [8B segment][key][8B start][4B sequence number]
//	changelog key              [key][8B start][4B sequence number]
//
// Numbers are big-endian. The changelog key is that of Kafka Streams' WindowKeySchema.
//
// Starts are not negative.
type WindowLayout struct{ Segmented }

const (
	windowStart    = 8 // bytes of the window start
	windowSequence = 4 // bytes of the sequence number
	windowSuffix   = windowStart + windowSequence
)

// NewWindowLayout returns the layout with segments of an interval in ms.
func NewWindowLayout(interval int64) WindowLayout { return WindowLayout{Segmented{interval}} }

// AppendKey appends the local key of a row.
func (l WindowLayout) AppendKey(dst, key []byte, start int64, seq uint32) []byte {
	return AppendWindowKey(l.AppendSegment(dst, start), key, start, seq)
}

// AppendLocal appends the local key for a changelog key.
func (l WindowLayout) AppendLocal(dst, changelogKey []byte) ([]byte, error) {
	n := len(changelogKey) - windowSuffix
	if n < 0 {
		return dst, fmt.Errorf("key of a window store's changelog has %d bytes, fewer than %d", len(changelogKey), windowSuffix)
	}
	start := int64(binary.BigEndian.Uint64(changelogKey[n:]))
	if start < 0 {
		return dst, fmt.Errorf("key of a window store's changelog has the window start %d", start)
	}
	return append(l.AppendSegment(dst, start), changelogKey...), nil
}

// AppendWindowKey appends a changelog key.
func AppendWindowKey(dst, key []byte, start int64, seq uint32) []byte {
	dst = append(dst, key...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(start))
	return binary.BigEndian.AppendUint32(dst, seq)
}

// SplitLocal returns the parts of a local key; key is a part of local. ok is false if it
// is none.
func SplitLocal(local []byte) (key []byte, start int64, seq uint32, ok bool) {
	n := len(local) - windowSuffix
	if n < SegmentBytes {
		return nil, 0, 0, false
	}
	start = int64(binary.BigEndian.Uint64(local[n:]))
	return local[SegmentBytes:n], start, binary.BigEndian.Uint32(local[n+windowStart:]), true
}

// SplitQueryKey returns the parts of a key as queries write it: the encoded key, followed
// by the window start. ok is false if it is none.
func SplitQueryKey(query []byte) (key []byte, start int64, ok bool) {
	n := len(query) - windowStart
	if n < 0 {
		return nil, 0, false
	}
	return query[:n], int64(binary.BigEndian.Uint64(query[n:])), true
}

// windowRowKey is Kind.rowKey. A key of a query has no sequence number: the row is the
// one with the number 0, which is the only one in a store without duplicates.
func windowRowKey(interval int64, query []byte) ([]byte, error) {
	key, start, ok := SplitQueryKey(query)
	switch {
	case !ok:
		return nil, fmt.Errorf("a windowed key has %d bytes, fewer than the %d of its window start", len(query), windowStart)
	case start < 0:
		return nil, fmt.Errorf("a windowed key has the window start %d", start)
	}
	return NewWindowLayout(interval).AppendKey(nil, key, start, 0), nil
}

// windowQueryKey is Kind.queryKey.
func windowQueryKey(row []byte) []byte { return row[SegmentBytes : len(row)-windowSequence] }

// KeyBounds returns the bounds, for Scan, of the rows of one segment with the key and
// from <= start <= to. Rows of longer keys may lie in between: their local keys are
// longer.
func (l WindowLayout) KeyBounds(segment int64, key []byte, from, to int64) (lower, upper []byte) {
	prefix := segmentKey(segment)
	lower = AppendWindowKey(prefix, key, max(from, 0), 0)
	upper = AppendWindowKey(bytes.Clone(prefix), key, to, math.MaxUint32)
	return lower, append(upper, 0)
}

// RangeBounds returns bounds of the rows of one segment with first <= key <= last (nil:
// open) and start <= to. Rows of other keys may lie in between.
func (l WindowLayout) RangeBounds(segment int64, first, last []byte, to int64) (lower, upper []byte) {
	prefix := segmentKey(segment)
	lower = append(prefix, first...)
	if last == nil {
		return lower, segmentKey(segment + 1)
	}
	upper = upperBound(last, func(key []byte) []byte {
		return AppendWindowKey(segmentKey(segment), key, to, math.MaxUint32)
	})
	return lower, append(upper, 0)
}

// windowsByStart are the windows that start in a range.
var windowsByStart = &windowReads{
	times: func(from, to int64) (first, last int64) { return from, to },
	keyBounds: func(interval, segment int64, key []byte, from, to int64) (lower, upper []byte) {
		return NewWindowLayout(interval).KeyBounds(segment, key, from, to)
	},
	within: func(local []byte, from, to int64) (key []byte, ok bool) {
		key, start, _, ok := SplitLocal(local)
		return key, ok && start >= from && start <= to
	},
}
