package state

import (
	"cmp"
	"container/list"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/engine"
)

// usage knows the rows of a bounded store in order of use.
type usage struct {
	most   int
	budget *engine.Budget
	order  list.List // of keys, the least recently used first
	places map[string]*list.Element
	bytes  int64
}

// usageBytes is what a row takes in a usage, beside its key.
const usageBytes = 160

func newUsage(most int, budget *engine.Budget) *usage {
	return &usage{most: most, budget: budget, places: map[string]*list.Element{}}
}

func (u *usage) count(n int64) {
	u.bytes += n
	u.budget.Cache(n)
}

// use makes a row the most recently used one. It does nothing if there is no such row.
func (u *usage) use(key []byte) bool {
	place := u.places[string(key)]
	if place != nil {
		u.order.MoveToBack(place)
	}
	return place != nil
}

// add adds a row that is new.
func (u *usage) add(key []byte) {
	k := string(key)
	u.places[k] = u.order.PushBack(k)
	u.count(usageBytes + int64(len(k)))
}

// remove removes a row, if it is there.
func (u *usage) remove(key []byte) {
	if place := u.places[string(key)]; place != nil {
		delete(u.places, string(key))
		u.order.Remove(place)
		u.count(-usageBytes - int64(len(key)))
	}
}

// surplus returns the least recently used row, if there is no room for another one.
func (u *usage) surplus() (key []byte, ok bool) {
	if u.order.Len() < u.most {
		return nil, false
	}
	return []byte(u.order.Front().Value.(string)), true
}

// findUsed enters the rows of a bounded store that was opened, in order of their
// timestamps.
func (s *keyValue[K, V]) findUsed() error {
	type found struct {
		at  int64
		key string
	}
	var rows []found
	for row, err := range s.Cells().Range(nil, nil, false) {
		if err != nil {
			return err
		}
		rows = append(rows, found{row.Timestamp, string(row.KeyBytes)})
	}
	slices.SortFunc(rows, func(a, b found) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.key, b.key)) })
	for _, row := range rows {
		s.used.add([]byte(row.key))
	}
	return nil
}

// useOrAdd makes a row of a bounded store the most recently used one. For a new row it
// makes room first.
func (s *keyValue[K, V]) useOrAdd(key []byte) error {
	if s.used.use(key) {
		return nil
	}
	// The deletion of another row encodes no key, so key stays valid.
	for {
		old, ok := s.used.surplus()
		if !ok {
			break
		}
		if err := s.evict(old); err != nil {
			return err
		}
	}
	s.used.add(key)
	return nil
}

// evict deletes the least recently used row.
func (s *keyValue[K, V]) evict(old []byte) error {
	k, err := s.Decode(old)
	if err != nil {
		return err
	}
	var none V
	if _, err := s.Cells().Put(old, k, none, false, s.Env().Now(), s.user.Origin()); err != nil {
		return err
	}
	s.used.remove(old)
	return nil
}

// Close implements engine.Store.
func (s *keyValue[K, V]) Close() error {
	if s.used != nil {
		s.used.count(-s.used.bytes)
	}
	return s.Core.Close()
}
