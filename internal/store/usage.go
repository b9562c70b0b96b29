package store

import (
	"cmp"
	"container/list"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/engine"
)

// Usage knows the rows of a bounded key-value store in order of use.
type Usage struct {
	most   int
	budget *engine.Budget
	order  list.List // of keys, the least recently used first
	places map[string]*list.Element
	bytes  int64
}

// usageBytes is what a row takes in a Usage, beside its key.
const usageBytes = 160

// findUsage returns the Usage of a bounded store that is being opened. The rows are in
// order of their timestamps.
func findUsage(most int, env engine.Env) (*Usage, error) {
	type found struct {
		at  int64
		key string
	}
	var rows []found
	committed, err := env.Table.Scan(nil, nil)
	if err != nil {
		return nil, err
	}
	for committed.Next() {
		rows = append(rows, found{committed.Timestamp(), string(committed.Key())})
	}
	if err := committed.Close(); err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(a, b found) int { return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.key, b.key)) })
	u := &Usage{most: most, budget: env.Budget, places: map[string]*list.Element{}}
	for _, row := range rows {
		u.Add([]byte(row.key))
	}
	return u, nil
}

func (u *Usage) count(n int64) {
	u.bytes += n
	u.budget.Cache(n)
}

// Use makes a row the most recently used one. It does nothing if there is no such row.
func (u *Usage) Use(key []byte) bool {
	place := u.places[string(key)]
	if place != nil {
		u.order.MoveToBack(place)
	}
	return place != nil
}

// Add adds a row that is new.
func (u *Usage) Add(key []byte) {
	k := string(key)
	u.places[k] = u.order.PushBack(k)
	u.count(usageBytes + int64(len(k)))
}

// Remove removes a row, if it is there.
func (u *Usage) Remove(key []byte) {
	if place := u.places[string(key)]; place != nil {
		delete(u.places, string(key))
		u.order.Remove(place)
		u.count(-usageBytes - int64(len(key)))
	}
}

// Surplus returns the least recently used row, if there is no room for another one.
func (u *Usage) Surplus() (key []byte, ok bool) {
	if u.order.Len() < u.most {
		return nil, false
	}
	return []byte(u.order.Front().Value.(string)), true
}

// close releases the memory.
func (u *Usage) close() { u.count(-u.bytes) }
