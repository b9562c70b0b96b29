package windowstore

import (
	"iter"
	"math"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

func (s *windows[K, V]) Fetch(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{first: &key, one: true, from: int64(from), to: int64(to)})
}

func (s *windows[K, V]) ReverseFetch(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{first: &key, one: true, from: int64(from), to: int64(to), reverse: true})
}

func (s *windows[K, V]) FetchRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{first: &first, last: &last, from: int64(from), to: int64(to)})
}

func (s *windows[K, V]) ReverseFetchRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{first: &first, last: &last, from: int64(from), to: int64(to), reverse: true})
}

func (s *windows[K, V]) FetchAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{from: int64(from), to: int64(to)})
}

func (s *windows[K, V]) ReverseFetchAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{from: int64(from), to: int64(to), reverse: true})
}

func (s *windows[K, V]) All() iter.Seq2[Entry[K, V], error] {
	return s.fetch(query[K]{to: math.MaxInt64})
}

func (s *windows[K, V]) ReverseAll() iter.Seq2[Entry[K, V], error] {
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
func (s *windows[K, V]) fetch(q query[K]) iter.Seq2[Entry[K, V], error] {
	keys, err := s.common.KeyRange(q.first, q.last, q.one)
	if err != nil {
		return func(yield func(Entry[K, V], error) bool) { yield(Entry[K, V]{}, err) }
	}
	return func(yield func(Entry[K, V], error) bool) {
		for row, err := range s.core.rows(keys, max(q.from, s.core.expiring.Live()), q.to, q.reverse) {
			var e Entry[K, V]
			if err == nil {
				if e, err = s.entry(row); err == nil && s.core.expiring.Expired(int64(e.Start)) {
					continue // the loop has advanced the store's time
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (s *windows[K, V]) entry(row engine.Row[K, V]) (Entry[K, V], error) {
	b, start, _, _ := store.SplitLocal(row.KeyBytes)
	key, err := s.common.Decode(b)
	if err != nil {
		return Entry[K, V]{}, err
	}
	return Entry[K, V]{
		Key:       key,
		Start:     processor.Timestamp(start),
		End:       s.end(start),
		Value:     row.Lend(),
		Timestamp: processor.Timestamp(row.Timestamp),
	}, nil
}

// end returns the end of the window with a start; windows of the longest size that there
// is have none.
func (s *windows[K, V]) end(start int64) processor.Timestamp {
	if s.core.size == time.Duration(math.MaxInt64).Milliseconds() {
		return math.MaxInt64
	}
	return processor.Timestamp(engine.Later(start, s.core.size))
}
