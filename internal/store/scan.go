package store

import (
	"bytes"
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
)

// KeyRange is a range of encoded keys, inclusive; nil is open.
type KeyRange struct {
	First, Last []byte
	One         bool // First is the only key
}

// KeyRange returns the range of the keys from first to last; nil is open. one says that
// first is the only key.
func (c *Core[K, V]) KeyRange(first, last *K, one bool) (r KeyRange, err error) {
	if r.First, err = c.bound(first); err != nil {
		return r, err
	}
	r.Last, err = c.bound(last)
	r.One = one
	return r, err
}

// bound returns the encoding of a bound, nil if it is open.
func (c *Core[K, V]) bound(key *K) ([]byte, error) {
	if key == nil {
		return nil, nil
	}
	b, err := c.Encode(*key)
	if err != nil {
		return nil, err
	}
	return append([]byte{}, b...), nil
}

// Bounds returns the bounds of the rows with from <= key <= to, for Cells.Range. A nil
// bound is open.
func Bounds[K, V any](c *Core[K, V], from, to *K) (lower, upper []byte, err error) {
	if lower, err = c.bound(from); err != nil {
		return nil, nil, err
	}
	if upper, err = c.bound(to); err != nil || upper == nil {
		return lower, nil, err
	}
	return lower, append(upper, 0), nil // the smallest key above to
}

// Has reports whether a key is in the range.
func (r KeyRange) Has(key []byte) bool {
	if r.One {
		return bytes.Equal(key, r.First)
	}
	return bytes.Compare(key, r.First) >= 0 && (r.Last == nil || bytes.Compare(key, r.Last) <= 0)
}

// All reports whether the range has every key.
func (r KeyRange) All() bool { return r.First == nil && r.Last == nil }

// Scan is a read of rows by segment.
type Scan struct {
	First, Last int64 // times of the rows
	Whole       bool  // bounds leaves nothing out between the first segment and the last
	Reverse     bool
	// Bounds returns the bounds of the rows in a segment.
	Bounds func(segment int64) (lower, upper []byte)
	// Wanted reports whether a row is to be yielded.
	Wanted func(local []byte) bool
}

// Rows yields the rows of a scan. It hides nothing but segments that were deleted.
//
// It is not inlined: each read would have a copy of it.
//
//go:noinline
func (s *Expiring[K, V]) Rows(scan Scan) iter.Seq2[engine.Row[K, V], error] {
	return func(yield func(engine.Row[K, V], error) bool) {
		// No row is later than the store's time.
		from, to := max(scan.First, s.Kept()), min(scan.Last, s.Time())
		if from > to {
			return
		}
		first, last := s.layout.Segments(from, to)
		if scan.Whole {
			// The segments follow each other: one scan reads them all.
			lower, _ := scan.Bounds(first)
			_, upper := scan.Bounds(last)
			s.rowsBetween(lower, upper, scan, yield)
			return
		}
		for many := last-first >= manySegments; first <= last; {
			segment, ok, err := first, true, error(nil)
			switch {
			case many:
				segment, ok, err = s.nextSegment(first, last, scan.Reverse)
			case scan.Reverse:
				segment = last
			}
			if err != nil {
				yield(engine.Row[K, V]{}, err)
				return
			}
			if !ok {
				return
			}
			lower, upper := scan.Bounds(segment)
			if !s.rowsBetween(lower, upper, scan, yield) {
				return
			}
			if scan.Reverse {
				last = segment - 1
			} else {
				first = segment + 1
			}
		}
	}
}

// rowsBetween yields the rows between two bounds that a scan wants. It reports whether to
// go on.
func (s *Expiring[K, V]) rowsBetween(lower, upper []byte, scan Scan, yield func(engine.Row[K, V], error) bool) bool {
	for row, err := range s.core.cells.Range(lower, upper, scan.Reverse) {
		if err == nil && !scan.Wanted(row.KeyBytes) {
			continue
		}
		if !yield(row, err) {
			return false
		}
	}
	return true
}

// manySegments is the number of segments from which a scan looks for the next segment
// that has rows. The store's time may jump by any number of segments.
const manySegments = 4

// nextSegment returns the next segment from first to last that has rows, or the last such
// segment if reverse is set.
func (s *Expiring[K, V]) nextSegment(first, last int64, reverse bool) (segment int64, ok bool, err error) {
	lower, upper := s.layout.SegmentBounds(first, last)
	for row, err := range s.core.cells.Range(lower, upper, reverse) {
		if err != nil {
			return 0, false, err
		}
		return s.layout.SegmentOf(row.KeyBytes), true, nil
	}
	return 0, false, nil
}
