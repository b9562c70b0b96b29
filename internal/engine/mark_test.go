package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestMark compares the rows that marks find with those that a search finds, over commits
// and deletions.
func TestMark(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 8<<20, false)
	cells := numbers(t, k)
	random := rand.New(rand.NewPCG(1, 0))
	marks := map[string]Mark{}
	found := 0
	for range 5000 {
		key := fmt.Sprint(random.IntN(50))
		want, err := cells.Load([]byte(key), key)
		check(t, err)
		switch cell := cells.Marked(marks[key], key); {
		case cell == nil && want.Changed():
			t.Fatal("the mark of a changed row finds nothing")
		case cell != nil && (cell != want || !want.Changed()):
			t.Fatal("a mark finds another row, or one that has not changed")
		case cell != nil:
			found++
		}
		switch random.IntN(20) {
		case 0:
			k.commit(t, cells)
			cells.ForgetAll()
		default:
			check(t, cells.Set(want, 1, random.IntN(4) > 0, 1, Origin{}))
			marks[key] = cells.Mark(want)
		}
	}
	if found == 0 {
		t.Error("no mark has found a row")
	}
	cells.shortcuts = false
	for key, m := range marks {
		if cells.Marked(m, key) != nil {
			t.Fatal("a mark finds a row without shortcuts")
		}
	}
}
