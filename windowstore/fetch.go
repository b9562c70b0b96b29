package windowstore

import (
	"iter"
	"math"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

func (s *core[K, V]) Fetch(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{first: &key, one: true, from: int64(from), to: int64(to)})
}

func (s *core[K, V]) ReverseFetch(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{first: &key, one: true, from: int64(from), to: int64(to), reverse: true})
}

func (s *core[K, V]) FetchRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{first: &first, last: &last, from: int64(from), to: int64(to)})
}

func (s *core[K, V]) ReverseFetchRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{first: &first, last: &last, from: int64(from), to: int64(to), reverse: true})
}

func (s *core[K, V]) FetchAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{from: int64(from), to: int64(to)})
}

func (s *core[K, V]) ReverseFetchAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{from: int64(from), to: int64(to), reverse: true})
}

func (s *core[K, V]) All() iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{to: math.MaxInt64})
}

func (s *core[K, V]) ReverseAll() iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{to: math.MaxInt64, reverse: true})
}

// query is a range read.
type query[K any] struct {
	first, last *K // nil: open
	one         bool
	from, to    int64
	reverse     bool
}

// fetch yields the rows of a query that have not expired.
//
// It is not inlined: each range read would have a copy of it.
//
//go:noinline
func (s *core[K, V]) fetch(q query[K]) iter.Seq2[Entry[K, V], error] {
	keys, err := s.KeyRange(q.first, q.last, q.one)
	if err != nil {
		return func(yield func(Entry[K, V], error) bool) { yield(Entry[K, V]{}, err) }
	}
	return func(yield func(Entry[K, V], error) bool) {
		for row, err := range s.rows(keys, max(q.from, s.Live()), q.to, q.reverse) {
			var e Entry[K, V]
			if err == nil {
				if e, err = s.entry(row); err == nil && s.Expired(int64(e.Start)) {
					continue // the loop has advanced the store's time
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (s *core[K, V]) entry(row engine.Row[K, V]) (Entry[K, V], error) {
	b, start, _, _ := store.SplitLocal(row.KeyBytes)
	key, err := s.Decode(b)
	if err != nil {
		return Entry[K, V]{}, err
	}
	return Entry[K, V]{
		Key:       key,
		Start:     processor.Timestamp(start),
		End:       s.end(start),
		Value:     row.Value,
		Timestamp: processor.Timestamp(row.Timestamp),
	}, nil
}

// end returns the end of the window with a start; windows of the longest size that there
// is have none.
func (s *core[K, V]) end(start int64) processor.Timestamp {
	if s.size == time.Duration(math.MaxInt64).Milliseconds() || start > math.MaxInt64-s.size {
		return math.MaxInt64
	}
	return processor.Timestamp(start + s.size)
}

// rows yields the rows of the keys with from <= start <= to, by segment. It includes
// expired rows whose segment has not been deleted.
//
// It is not inlined, for the reason of fetch.
//
//go:noinline
func (s *core[K, V]) rows(keys store.KeyRange, from, to int64, reverse bool) iter.Seq2[engine.Row[K, V], error] {
	from = max(from, 0)
	return s.Rows(store.Scan{
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
