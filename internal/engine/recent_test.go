package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

// TestRecent checks that a key in use outlives its generation, that other keys are
// dropped with theirs, and that all memory is returned to the budget.
func TestRecent(t *testing.T) {
	t.Parallel()
	shared := NewShared(minMemory)
	defer shared.Close()
	budget := shared.NewBudget()
	r := NewRecent[int](budget)
	name := func(i int) []byte { return fmt.Appendf(nil, "key-%d", i) }
	for i := range 3 * leastKnown {
		if r.Get(name(0)) == nil {
			r.Put(name(0), 0, 0)
		}
		r.Get(name(0)).Value++
		if i > 0 {
			r.Put(name(i), i, 0)
		}
	}
	if known := r.Get(name(0)); known == nil || known.Value != 3*leastKnown {
		t.Errorf("of a key that is always in use is known %v", known)
	}
	if r.Get(name(1)) != nil {
		t.Error("a key of the first generation is still known after the third")
	}
	last := r.Get(name(3*leastKnown - 1))
	if last == nil || last.Value != 3*leastKnown-1 {
		t.Fatalf("of the last key is known %v", last)
	}
	if kept := len(r.young) + len(r.old); kept > 2*leastKnown+2 {
		t.Errorf("%d keys are kept", kept)
	}
	before := budget.used
	r.Resize(last, 1000)
	r.Resize(last, 10_000)
	if grown := budget.used - before; grown < 9_000 || grown > 10_000 {
		t.Errorf("the budget counts %d bytes more for a value of 10000", grown)
	}
	r.Forget(name(3*leastKnown - 1))
	if r.Get(name(3*leastKnown-1)) != nil {
		t.Error("a forgotten key is known")
	}
	r.Close()
	if held := budget.used; held != 0 {
		t.Errorf("%d bytes are counted after Close", held)
	}
}

// TestWindowList compares lists with a map of all windows.
func TestWindowList(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 200, func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 1))
		list, model := WindowList{From: 3}, map[int64]int64{}
		for range 100 {
			start := 3 + random.Int64N(60)
			switch random.IntN(8) {
			case 0:
				list.Remove(start)
				delete(model, start)
			case 1:
				list.Cut(start)
			default:
				last := start + random.Int64N(10)
				list.Set(ListedWindow{Start: start, Last: last})
				model[start] = last
			}
			from := list.From + random.Int64N(60)
			var want []ListedWindow
			for _, s := range slices.Sorted(maps.Keys(model)) {
				if s >= from {
					want = append(want, ListedWindow{Start: s, Last: model[s]})
				}
			}
			if got := list.Since(from); !slices.Equal(got, want) {
				t.Fatalf("seed %d: since %d there are %v, want %v", seed, from, got, want)
			}
			if _, there := model[from]; list.Has(from) != there {
				t.Fatalf("seed %d: Has(%d) is %v", seed, from, !there)
			}
		}
	})
}
