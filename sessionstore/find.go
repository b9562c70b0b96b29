package sessionstore

import (
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

func (s *sessions[K, V]) Find(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.find(query[K]{first: &key, one: true, from: int64(from), to: int64(to)})
}

func (s *sessions[K, V]) ReverseFind(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.find(query[K]{first: &key, one: true, from: int64(from), to: int64(to), reverse: true})
}

func (s *sessions[K, V]) FindRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.find(query[K]{first: &first, last: &last, from: int64(from), to: int64(to)})
}

func (s *sessions[K, V]) ReverseFindRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.find(query[K]{first: &first, last: &last, from: int64(from), to: int64(to), reverse: true})
}

func (s *sessions[K, V]) FindAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.find(query[K]{from: int64(from), to: int64(to)})
}

func (s *sessions[K, V]) ReverseFindAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error] {
	return s.find(query[K]{from: int64(from), to: int64(to), reverse: true})
}

// query is a read of several sessions.
type query[K any] struct {
	first, last *K // nil: open
	one         bool
	from, to    int64
	reverse     bool
}

// find yields the sessions that a query selects and that have not expired.
//
// It is not inlined. Otherwise each read method would have a copy of it.
//
//go:noinline
func (s *sessions[K, V]) find(q query[K]) iter.Seq2[Entry[K, V], error] {
	keys, err := s.common.KeyRange(q.first, q.last, q.one)
	if err != nil {
		return func(yield func(Entry[K, V], error) bool) { yield(Entry[K, V]{}, err) }
	}
	return func(yield func(Entry[K, V], error) bool) {
		for row, err := range s.core.rows(keys, max(q.from, s.core.expiring.Live()), q.to, q.reverse) {
			var e Entry[K, V]
			if err == nil {
				if e, err = s.entry(row); err == nil && s.core.expiring.Expired(int64(e.End)) {
					continue // the loop has moved the store's time
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (s *sessions[K, V]) entry(row engine.Row[K, V]) (Entry[K, V], error) {
	b, start, end, _ := store.SplitSession(row.KeyBytes)
	key, err := s.common.Decode(b)
	if err != nil {
		return Entry[K, V]{}, err
	}
	return Entry[K, V]{
		Key:       key,
		Start:     processor.Timestamp(start),
		End:       processor.Timestamp(end),
		Value:     row.Lend(),
		Timestamp: processor.Timestamp(row.Timestamp),
	}, nil
}
