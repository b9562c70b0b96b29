package engine

import (
	"slices"
	"strings"
)

// TimeIndex returns the keys of rows in order of time, then of key. Its owner adds each
// row. It is a binary heap, because nothing asks for a row that is not the first. Adding
// a row usually takes a few comparisons. Taking the first row takes a logarithmic number.
//
// A TimeIndex is for the task's goroutine. Its memory is counted in the Budget.
type TimeIndex struct {
	budget *Budget
	rows   []timedKey // a heap: rows[i] is not behind rows[2*i+1] and rows[2*i+2]
	bytes  int64
}

type timedKey struct {
	at  int64
	key string
}

// timedKeySize is the size of a timedKey. A slice that grows has room for more.
const timedKeySize = 32

// NewTimeIndex returns an empty index.
func NewTimeIndex(b *Budget) *TimeIndex { return &TimeIndex{budget: b} }

// Add adds a row. The bytes of the key must never change.
func (x *TimeIndex) Add(at int64, key []byte) {
	x.rows = append(x.rows, timedKey{at, view(key)})
	x.count(timedKeySize + int64(len(key)))
	for i := len(x.rows) - 1; i > 0; {
		above := (i - 1) / 2
		if compareTimed(x.rows[above], x.rows[i]) <= 0 {
			return
		}
		x.rows[above], x.rows[i] = x.rows[i], x.rows[above]
		i = above
	}
}

// First returns the first row. ok is false if there is none.
func (x *TimeIndex) First() (at int64, key []byte, ok bool) {
	if len(x.rows) == 0 {
		return 0, nil, false
	}
	return x.rows[0].at, bytesOf(x.rows[0].key), true
}

// Take removes the first row and returns it, if its time is at most until. A row that was
// added more than once is taken once.
func (x *TimeIndex) Take(until int64) (at int64, key []byte, ok bool) {
	if len(x.rows) == 0 || x.rows[0].at > until {
		return 0, nil, false
	}
	first := x.rows[0]
	x.pop()
	for len(x.rows) > 0 && x.rows[0] == first {
		x.pop()
	}
	return first.at, bytesOf(first.key), true
}

func (x *TimeIndex) pop() {
	x.count(-timedKeySize - int64(len(x.rows[0].key)))
	last := len(x.rows) - 1
	x.rows[0] = x.rows[last]
	x.rows = cut(x.rows, last)
	x.sink(0)
}

// sink moves a row down to its place.
func (x *TimeIndex) sink(i int) {
	for {
		least := 2*i + 1
		if least >= len(x.rows) {
			return
		}
		if other := least + 1; other < len(x.rows) && compareTimed(x.rows[other], x.rows[least]) < 0 {
			least = other
		}
		if compareTimed(x.rows[i], x.rows[least]) <= 0 {
			return
		}
		x.rows[i], x.rows[least] = x.rows[least], x.rows[i]
		i = least
	}
}

// Keep removes the rows for which keep returns false. A row that was added more than once
// stays once. After an error of keep, the index must not be used any more.
func (x *TimeIndex) Keep(keep func(at int64, key []byte) (bool, error)) error {
	slices.SortFunc(x.rows, compareTimed) // which is a heap, too
	kept := 0
	for _, row := range x.rows {
		ok := kept == 0 || x.rows[kept-1] != row
		if ok {
			var err error
			if ok, err = keep(row.at, bytesOf(row.key)); err != nil {
				return err
			}
		}
		if ok {
			x.rows[kept] = row
			kept++
		} else {
			x.count(-timedKeySize - int64(len(row.key)))
		}
	}
	x.rows = slices.Clip(cut(x.rows, kept))
	return nil
}

// Clear removes all rows.
func (x *TimeIndex) Clear() {
	x.count(-x.bytes)
	x.rows = cut(x.rows, 0)
}

// before reports whether the first row of x comes before that of another index.
func (x *TimeIndex) before(other *TimeIndex) bool {
	return len(x.rows) > 0 && (len(other.rows) == 0 || compareTimed(x.rows[0], other.rows[0]) < 0)
}

// Len returns the number of rows.
func (x *TimeIndex) Len() int { return len(x.rows) }

// Close gives the memory back. The index must not be used any more.
func (x *TimeIndex) Close() {
	x.count(-x.bytes)
	x.rows = nil
}

func (x *TimeIndex) count(n int64) {
	x.bytes += n
	x.budget.add(n)
}

func compareTimed(a, b timedKey) int {
	switch {
	case a.at < b.at:
		return -1
	case a.at > b.at:
		return 1
	}
	return strings.Compare(a.key, b.key)
}
