package state

import (
	"bytes"
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

func (s *keyValue[K, V]) Range(from, to K) iter.Seq2[Entry[K, V], error] {
	return s.between(&from, &to, false)
}

func (s *keyValue[K, V]) ReverseRange(from, to K) iter.Seq2[Entry[K, V], error] {
	return s.between(&from, &to, true)
}

func (s *keyValue[K, V]) From(from K) iter.Seq2[Entry[K, V], error] {
	return s.between(&from, nil, false)
}

func (s *keyValue[K, V]) ReverseFrom(from K) iter.Seq2[Entry[K, V], error] {
	return s.between(&from, nil, true)
}

func (s *keyValue[K, V]) To(to K) iter.Seq2[Entry[K, V], error] { return s.between(nil, &to, false) }
func (s *keyValue[K, V]) ReverseTo(to K) iter.Seq2[Entry[K, V], error] {
	return s.between(nil, &to, true)
}
func (s *keyValue[K, V]) All() iter.Seq2[Entry[K, V], error]        { return s.scan(nil, nil, false) }
func (s *keyValue[K, V]) ReverseAll() iter.Seq2[Entry[K, V], error] { return s.scan(nil, nil, true) }

func (s *keyValue[K, V]) PrefixScan(prefix []byte) iter.Seq2[Entry[K, V], error] {
	return s.scan(bytes.Clone(prefix), engine.PrefixEnd(prefix), false)
}

// between yields the rows between two bounds. A nil bound is open.
func (s *keyValue[K, V]) between(from, to *K, reverse bool) iter.Seq2[Entry[K, V], error] {
	lower, upper, err := store.Bounds(s.core, from, to)
	if err != nil {
		return func(yield func(Entry[K, V], error) bool) { yield(Entry[K, V]{}, err) }
	}
	return s.scan(lower, upper, reverse)
}

// scan is not inlined: each range read would have a copy of it.
//
//go:noinline
func (s *keyValue[K, V]) scan(lower, upper []byte, reverse bool) iter.Seq2[Entry[K, V], error] {
	return func(yield func(Entry[K, V], error) bool) {
		for row, err := range s.core.Cells().Range(lower, upper, reverse) {
			if err == nil && s.core.Cells().Lifetimes().Expired(row.Timestamp) {
				continue
			}
			var e Entry[K, V]
			if err == nil {
				e, err = s.entry(row)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (s *keyValue[K, V]) entry(row engine.Row[K, V]) (Entry[K, V], error) {
	key, err := s.core.Decode(row.KeyBytes)
	if err != nil {
		return Entry[K, V]{}, err
	}
	return Entry[K, V]{Key: key, Value: row.Value, Timestamp: processor.Timestamp(row.Timestamp)}, nil
}
