package windowstore

import (
	"iter"
	"math"
	"unsafe"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
)

// Windowed operators use these methods. They read and write expired rows too, because the
// operator decides which records are late.

// AppendKey appends the key of a cell.
func (s *core[K, V]) AppendKey(dst, key []byte, start int64) []byte {
	return s.layout.AppendKey(dst, key, start, 0)
}

// Start returns the window start of a cell's key.
func (s *core[K, V]) Start(cellKey []byte) int64 {
	_, start, _, _ := store.SplitLocal(cellKey)
	return start
}

// Key returns the key without its window in a cell's key.
func (s *core[K, V]) Key(cellKey []byte) (K, error) {
	key, _, _, _ := store.SplitLocal(cellKey)
	return s.expiring.Core().Decode(key)
}

// AppendWindow appends the key of the cell of a window.
func (s *core[K, V]) AppendWindow(dst, key []byte, w serde.Window) []byte {
	return s.AppendKey(dst, key, w.Start)
}

// Windows returns the windows of a key that start at from or later, or more of them. The
// caller adds each window that it writes to the list. For most records it reads no row.
func (s *core[K, V]) Windows(key []byte, from int64) (*engine.WindowList, error) {
	from = max(from, s.expiring.Kept())
	known := s.recent.Get(key)
	if known == nil {
		known = s.recent.Put(key, engine.WindowList{From: math.MaxInt64}, s.Cells().Len())
	}
	list := &known.Value
	list.Cut(min(from, s.expiring.Live()))
	var err error
	if list.From > from {
		err = s.list(list, key, from)
	}
	s.recent.Resize(known, int64(len(key))+list.Bytes())
	return list, err
}

// list reads the windows of a key.
func (s *core[K, V]) list(list *engine.WindowList, key []byte, from int64) error {
	list.From, list.Windows = math.MaxInt64, list.Windows[:0]
	for row, err := range s.rows(store.KeyRange{First: key, One: true}, from, math.MaxInt64, false) {
		if err != nil {
			return err
		}
		list.Set(engine.ListedWindow{Start: s.Start(row.KeyBytes), Last: row.Timestamp})
	}
	list.From = from
	return nil
}

// Marks returns a list of n marks for windows of a key. The caller keeps the marks of the
// key's rows there. The list may be used until the next call; it may be empty again then.
func (s *core[K, V]) Marks(key []byte, n int) []engine.WindowMark {
	known := s.marks.Get(key)
	if known == nil {
		known = s.marks.Put(key, make([]engine.WindowMark, n), s.Cells().Len()/n)
		s.marks.Resize(known, int64(len(key))+int64(n)*int64(unsafe.Sizeof(engine.WindowMark{})))
	}
	return known.Value
}

// Name returns the store's name.
func (s *core[K, V]) Name() string { return s.expiring.Name() }

// StoreName implements engine.Store.
func (s *core[K, V]) StoreName() string { return s.expiring.Name() }

// Cells returns the rows in memory.
func (s *core[K, V]) Cells() *engine.Cells[K, V] { return s.expiring.Cells() }

// Observe moves the store's time forward.
func (s *core[K, V]) Observe(at int64) { s.expiring.Observe(at) }

// TimeIndex returns an index of the committed rows; see store.Expiring.
func (s *core[K, V]) TimeIndex(after int64, keyOf func(local []byte) []byte) (*engine.TimeIndex, error) {
	return s.expiring.TimeIndex(after, keyOf)
}

// DeletedBefore returns store.Expiring.DeletedBefore.
func (s *core[K, V]) DeletedBefore() int64 { return s.expiring.DeletedBefore() }

// Expire implements engine.Expirer.
func (s *core[K, V]) Expire() { s.expiring.Expire() }

// Flush implements engine.Store.
func (s *core[K, V]) Flush(b *engine.TableBatch) error { return s.expiring.Flush(b) }

// Committed implements engine.Store.
func (s *core[K, V]) Committed() { s.expiring.Committed() }

// Trim implements engine.Store.
func (s *core[K, V]) Trim() { s.expiring.Trim() }

// Time returns the largest start of a window that was ever written, -1 if there is none.
func (s *core[K, V]) Time() int64 { return s.expiring.Time() }

// Newest returns store.Expiring.Newest.
func (s *core[K, V]) Newest() int64 { return s.expiring.Newest() }

// Close implements engine.Store.
func (s *core[K, V]) Close() error {
	s.recent.Close()
	s.marks.Close()
	return s.expiring.Close()
}

// rows yields the rows of the keys with from <= start <= to, by segment. It includes
// expired rows whose segment has not been deleted.
//
// It is not inlined: each caller would have a copy of it.
//
//go:noinline
func (s *core[K, V]) rows(keys store.KeyRange, from, to int64, reverse bool) iter.Seq2[engine.Row[K, V], error] {
	from = max(from, 0)
	return s.expiring.Rows(store.Scan{
		First: from, Last: to, Whole: keys.All(), Reverse: reverse,
		Bounds: func(segment int64) (lower, upper []byte) {
			if keys.One {
				return s.layout.KeyBounds(segment, keys.First, from, to)
			}
			return s.layout.RangeBounds(segment, keys.First, keys.Last, to)
		},
		Wanted: func(local []byte) bool {
			key, start, _, ok := store.SplitLocal(local)
			return ok && start >= from && start <= to && keys.Has(key)
		},
	})
}
