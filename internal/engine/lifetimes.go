package engine

import (
	"encoding/binary"
	"math"
)

// Lifetimes knows when the rows of a [Cells] expire, in a store with a time to live
// (TTL): when stream time reaches the timestamp of the row plus the TTL.
//
// An index has the rows by time, so that expired rows are found without reading others:
//
//   - The table's past has the committed rows, by segments of time; see lifetimeIndex.
//     Each segment has a part of the TTL.
//   - Memory has the rows of the segments that stream time has reached, and the rows that
//     are not committed.
//
// Each row has an entry with its timestamp, or with an earlier one. It may have others,
// because a row that changes or is deleted keeps its entries. Whoever takes an entry
// therefore looks at the row.
//
// Only the task's goroutine may use Lifetimes. Its memory is counted in the Budget. A nil
// Lifetimes is that of rows that do not expire.
type Lifetimes struct {
	ttl   int64
	index lifetimeIndex
	now   func() int64
	again func()

	near    *TimeIndex // rows of the segments up to reached
	fresh   *TimeIndex // other rows, changed since the last Flush
	flushed *TimeIndex // other rows, changed before it, and not committed
	reached int64      // a segment
	kept    int64      // entries of segments below were deleted

	taken bool        // see TakeOver
	batch *TableBatch // of the last Flush
	key   []byte      // scratch
}

// NewLifetimes returns the lifetimes of the rows of a store with a TTL in ms. If the
// table has rows that are not in an index yet, it adds them.
func NewLifetimes(env Env, ttl int64) (*Lifetimes, error) {
	if err := env.Table.IndexLifetimes(ttl); err != nil {
		return nil, err
	}
	index := func() *TimeIndex { return NewTimeIndex(env.Budget) }
	return &Lifetimes{
		ttl: ttl, index: lifetimeIndex{env.Table.Past(), lifetimeInterval(ttl)}, now: env.StreamTime, again: env.AskAgain,
		near: index(), fresh: index(), flushed: index(), reached: -1,
	}, nil
}

// Expired reports whether a row with a timestamp has expired.
func (l *Lifetimes) Expired(at int64) bool { return l != nil && at <= l.deadline() }

// TakeOver says that the caller deletes the rows that have expired, and not the store.
func (l *Lifetimes) TakeOver() { l.taken = true }

// ExpiredByStore reports whether there is a TTL, and the store itself has to delete the
// rows that have expired.
func (l *Lifetimes) ExpiredByStore() bool { return l != nil && !l.taken }

// End returns when a row expires. The row must have expired.
func (l *Lifetimes) End(at int64) int64 { return at + l.ttl }

// deadline returns the largest timestamp of an expired row.
func (l *Lifetimes) deadline() int64 { return l.now() - l.ttl }

// put notes that a row is set. known says that the row was set since the last Flush, with
// a timestamp that is not larger. An entry in memory then has that timestamp, or an
// earlier one.
func (l *Lifetimes) put(key string, at int64, known bool) {
	switch {
	case known:
	case l.index.segment(at) <= l.reached:
		l.near.Add(at, bytesOf(key))
	default:
		l.fresh.Add(at, bytesOf(key))
	}
}

// keep notes that the entry of a row was taken, but that the row is newer. committed says
// that the row is as in the table.
func (l *Lifetimes) keep(key []byte, at int64, committed bool) {
	switch {
	case l.index.segment(at) <= l.reached:
		l.near.Add(at, key)
	case !committed:
		l.fresh.Add(at, key)
	}
}

// take removes the first entry with a time that is at most deadline, and returns its key.
func (l *Lifetimes) take(deadline int64) (key []byte, ok bool, err error) {
	if deadline < 0 {
		return nil, false, nil
	}
	for last := l.index.segment(deadline); ; {
		if key, ok = l.takeReached(min(deadline, l.index.end(l.reached))); ok || l.reached >= last {
			return key, ok, nil
		}
		if l.reached, err = l.index.load(l.reached+1, last, l.near.Add); err != nil {
			return nil, false, err
		}
	}
}

// takeReached is take from memory.
func (l *Lifetimes) takeReached(until int64) (key []byte, ok bool) {
	first := l.near
	for _, other := range []*TimeIndex{l.fresh, l.flushed} {
		if other.before(first) {
			first = other
		}
	}
	_, key, ok = first.Take(until)
	return key, ok
}

// flush begins a Flush. It deletes the segments that have no rows any more.
func (l *Lifetimes) flush(b *TableBatch) error {
	l.batch = b.Past()
	l.fresh, l.flushed = l.flushed, l.fresh // which is empty
	below := max(l.reached, 0)
	if at, _, ok := l.near.First(); ok {
		below = min(below, l.index.segment(at))
	}
	if below <= l.kept {
		return nil
	}
	l.kept = below
	return l.batch.DeleteRange(nil, segmentKey(below))
}

// write adds the entry of a row to the batch of the flush. before is the timestamp of the
// row as of the last commit, -1 if unknown or if there was none. If an entry of that row
// serves this one too, nothing is written.
func (l *Lifetimes) write(key []byte, at, before int64) error {
	if before >= 0 && before <= at && l.index.segment(before) == l.index.segment(at) {
		return nil
	}
	l.key = l.index.appendKey(l.key[:0], key, at)
	return l.batch.Set(l.key, at, nil)
}

// committed says that the batch of the flush was applied.
func (l *Lifetimes) committed() {
	for {
		at, key, ok := l.flushed.Take(l.index.end(l.reached))
		if !ok {
			break
		}
		l.near.Add(at, key)
	}
	l.flushed.Clear() // the table has the rest
}

func (l *Lifetimes) close() {
	l.near.Close()
	l.fresh.Close()
	l.flushed.Close()
}

// lifetimeSegments is how many segments a TTL has. With more of them, fewer rows are in
// memory, but a row that changes often has more entries in the table's past.
const lifetimeSegments = 64

func lifetimeInterval(ttl int64) int64 { return max(ttl/lifetimeSegments, 1) }

// lifetimeIndex is the layout of the index in the past of a table:
//
//	[8B segment][key]
//
// The number of the segment is the timestamp of the row divided by the interval,
// big-endian. The timestamp of the entry is that of the row, or an earlier one of the
// same segment. The value is empty.
type lifetimeIndex struct {
	past     *Table
	interval int64
}

func (x lifetimeIndex) segment(at int64) int64 { return max(at, 0) / x.interval }

// end returns the last time of a segment.
func (x lifetimeIndex) end(segment int64) int64 {
	if segment >= math.MaxInt64/x.interval {
		return math.MaxInt64
	}
	return (segment+1)*x.interval - 1
}

func (x lifetimeIndex) appendKey(dst, key []byte, at int64) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(x.segment(at))), key...)
}

// load adds the entries of the first segment that has some, of those from first to last,
// and returns that segment. If none has, it returns last.
func (x lifetimeIndex) load(first, last int64, add func(at int64, key []byte)) (loaded int64, err error) {
	rows, err := x.past.Scan(segmentKey(first), segmentKey(last+1))
	if err != nil {
		return 0, err
	}
	loaded = last
	for some := false; rows.Next(); some = true {
		segment := int64(binary.BigEndian.Uint64(rows.Key()))
		if some && segment != loaded {
			break
		}
		loaded = segment
		add(rows.Timestamp(), append([]byte{}, rows.Key()[segmentSize:]...))
	}
	return loaded, rows.Close()
}
