package engine

import (
	"slices"
	"unsafe"
)

// TimedRow is a row of a [Timeline]. A pointer to a row is valid until the next Add or
// Find of its Timeline.
type TimedRow[V any] struct {
	Value V
	At    int64 // ms
	Seq   uint32
	Mark  bool // belongs to the owner; false when the row is loaded into memory

	older int32 // 1 + the index of the key's next older row; 0: none
}

// before reports whether the row comes before another one of its key.
func (r *TimedRow[V]) before(at int64, seq uint32) bool {
	return r.At < at || r.At == at && r.Seq < seq
}

// TimelineConfig describes a [Timeline].
type TimelineConfig[V any] struct {
	Budget *Budget

	// Span is the length in ms of a part of the rows. A part leaves memory as a whole.
	Span int64

	// Known is the largest time of a row in the table that was not added to the Timeline.
	// It is -1 if the table is empty.
	Known int64

	// Load calls add for each row of a key in the table with from <= at <= to, by at and
	// then seq. size is the bytes of the encoded value.
	Load func(key []byte, from, to int64, add func(at int64, seq uint32, value V, size int)) error
}

// Timeline holds rows by key and time in memory, decoded. Rows never change. A key may
// have several rows with the same time. Finding the rows of a key within a range of time
// costs one look-up in a map for each part of the range, and one step for each row.
//
// Added rows stay in memory until they have expired, or until the memory is needed. Rows
// that are only in the table are loaded when they are first asked for, with one scan for
// each key and part.
//
// Only the task's goroutine may use a Timeline. Its memory is counted in the Budget.
type Timeline[V any] struct {
	c       TimelineConfig[V]
	parts   []*part[V] // by start
	missing int64      // rows up to this time may be in the table only
	spare   *part[V]   // an empty part, for reuse
}

// part is the rows of one span of time.
type part[V any] struct {
	start  int64
	whole  bool             // all rows of the span are in memory
	byKey  map[string]int32 // index in chains
	chains []chain
	rows   []TimedRow[V]
	keys   []byte // room for the keys of byKey
	bytes  int64
	fresh  int // rows added since the last Flushed
	pass   int // rows added before it that are not committed
}

// chain lists the rows of one key in a part, from the latest to the first.
type chain struct {
	latest int32 // as TimedRow.older
	loaded bool  // the rows of the table are in the chain
}

// NewTimeline returns an empty Timeline.
func NewTimeline[V any](c TimelineConfig[V]) *Timeline[V] {
	return &Timeline[V]{c: c, missing: c.Known}
}

// Add adds a row. size is the size of the encoded value in bytes. The row must not exist
// yet.
func (t *Timeline[V]) Add(key []byte, at int64, seq uint32, value V, size int) *TimedRow[V] {
	p := t.partOf(at)
	p.fresh++
	return t.insert(p, t.chainOf(p, key), at, seq, value, size)
}

// Find appends the rows of a key with from <= At <= to, in order of At and then Seq. from
// must not be negative.
func (t *Timeline[V]) Find(dst []*TimedRow[V], key []byte, from, to int64) ([]*TimedRow[V], error) {
	if from > to {
		return dst, nil
	}
	for start := t.startOf(from); ; {
		chain, p, err := t.complete(start, key)
		if err != nil {
			return dst, err
		}
		if p != nil {
			dst = p.find(dst, chain, from, to)
		}
		last := t.lastOf(start)
		if last >= to {
			return dst, nil
		}
		start = last + 1
	}
}

// complete returns the chain of a key in the part that begins at start, with all rows of
// the key. The part is nil if the key has none.
func (t *Timeline[V]) complete(start int64, key []byte) (chain int32, p *part[V], err error) {
	if p = t.existing(start); p == nil {
		if start > t.missing {
			return 0, nil, nil
		}
		p = t.partOf(start)
	}
	chain, ok := p.byKey[view(key)]
	switch {
	case p.whole && !ok:
		return 0, nil, nil
	case p.whole, ok && p.chains[chain].loaded:
		return chain, p, nil
	}
	chain = t.chainOf(p, key)
	return chain, p, t.load(p, chain, key)
}

// startOf returns the start of the part that a time belongs to. lastOf returns the last
// time of a part.
func (t *Timeline[V]) startOf(at int64) int64 { return at / t.c.Span * t.c.Span }

func (t *Timeline[V]) lastOf(start int64) int64 { return Later(start, t.c.Span-1) }

// find appends the rows of a chain.
func (p *part[V]) find(dst []*TimedRow[V], chain int32, from, to int64) []*TimedRow[V] {
	first := len(dst)
	for next := p.chains[chain].latest; next != 0; {
		row := &p.rows[next-1]
		if row.At < from {
			break
		}
		if row.At <= to {
			dst = append(dst, row)
		}
		next = row.older
	}
	slices.Reverse(dst[first:])
	return dst
}

// load adds the rows that are in the table. Some may already be in memory: they were
// added and have been committed since.
func (t *Timeline[V]) load(p *part[V], chain int32, key []byte) error {
	err := t.c.Load(key, p.start, t.lastOf(p.start), func(at int64, seq uint32, value V, size int) {
		t.insert(p, chain, at, seq, value, size)
	})
	p.chains[chain].loaded = err == nil
	return err
}

// insert adds a row to a chain, unless the chain already has it.
func (t *Timeline[V]) insert(p *part[V], chain int32, at int64, seq uint32, value V, size int) *TimedRow[V] {
	next, later := p.chains[chain].latest, int32(0)
	for next != 0 && !p.rows[next-1].before(at, seq) {
		if row := &p.rows[next-1]; row.At == at && row.Seq == seq {
			return row
		}
		next, later = p.rows[next-1].older, next
	}
	p.rows = append(p.rows, TimedRow[V]{Value: value, At: at, Seq: seq, older: next})
	if index := int32(len(p.rows)); later == 0 {
		p.chains[chain].latest = index
	} else {
		p.rows[later-1].older = index
	}
	t.count(p, int64(unsafe.Sizeof(TimedRow[V]{}))+int64(size))
	return &p.rows[len(p.rows)-1]
}

// existing returns the part that begins at start, or nil if it is not in memory.
func (t *Timeline[V]) existing(start int64) *part[V] {
	for i := len(t.parts) - 1; i >= 0; i-- {
		if p := t.parts[i]; p.start <= start {
			if p.start == start {
				return p
			}
			return nil
		}
	}
	return nil
}

// partOf returns the part of a time.
func (t *Timeline[V]) partOf(at int64) *part[V] {
	start := t.startOf(at)
	if p := t.existing(start); p != nil {
		return p
	}
	p := t.spare
	if t.spare = nil; p == nil {
		p = &part[V]{byKey: map[string]int32{}}
	}
	p.start, p.whole = start, start > t.missing
	i := len(t.parts)
	for i > 0 && t.parts[i-1].start > start {
		i--
	}
	t.parts = slices.Insert(t.parts, i, p)
	return p
}

// chainOf returns the index of the chain of a key.
func (t *Timeline[V]) chainOf(p *part[V], key []byte) int32 {
	if i, ok := p.byKey[view(key)]; ok {
		return i
	}
	const mapEntry = 56 // as in cellSize
	if cap(p.keys)-len(p.keys) < len(key) {
		p.keys = make([]byte, 0, max(min(2*cap(p.keys), maxSlab), 16*len(key), minPiece))
	}
	n := len(p.keys)
	p.keys = append(p.keys, key...)
	i := int32(len(p.chains))
	p.chains = append(p.chains, chain{})
	p.byKey[view(p.keys[n:])] = i
	t.count(p, int64(len(key))+mapEntry+int64(unsafe.Sizeof(chain{})))
	return i
}

func (t *Timeline[V]) count(p *part[V], n int64) {
	p.bytes += n
	t.c.Budget.add(n)
}

// Expire drops the parts that lie completely before a time.
func (t *Timeline[V]) Expire(before int64) {
	for len(t.parts) > 0 && t.lastOf(t.parts[0].start) < before {
		t.drop()
	}
}

// drop drops the first part, and keeps its memory for the next one.
func (t *Timeline[V]) drop() {
	p := t.parts[0]
	t.parts = slices.Delete(t.parts, 0, 1)
	t.c.Budget.add(-p.bytes)
	if t.c.Budget.Crowded() {
		t.spare = nil
		return
	}
	clear(p.byKey)
	clear(p.rows)
	// byKey has no key in the memory of keys any more.
	*p = part[V]{byKey: p.byKey, chains: p.chains[:0], rows: p.rows[:0], keys: p.keys[:0]}
	t.spare = p
}

// Flushed reports that the rows that were added so far are part of a commit.
func (t *Timeline[V]) Flushed() {
	for _, p := range t.parts {
		p.pass, p.fresh = p.pass+p.fresh, 0
	}
}

// Committed reports that the rows of the last Flushed are in the table.
func (t *Timeline[V]) Committed() {
	for _, p := range t.parts {
		p.pass = 0
	}
	t.Trim()
}

// Trim drops the first parts while the process holds more memory than it may, and the
// task more than its share. Rows that are not in the table stay.
func (t *Timeline[V]) Trim() {
	for len(t.parts) > 0 && t.c.Budget.Crowded() && t.parts[0].fresh+t.parts[0].pass == 0 {
		t.missing = max(t.missing, t.lastOf(t.parts[0].start))
		t.drop()
	}
}

// Close returns the memory to the budget. The Timeline must not be used afterwards.
func (t *Timeline[V]) Close() {
	for _, p := range t.parts {
		t.c.Budget.add(-p.bytes)
	}
	t.parts, t.spare = nil, nil
}
