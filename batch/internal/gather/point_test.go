package gather

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-streams/millrace/batch/internal/rows"
	"github.com/millrace-streams/millrace/internal/seedtest"
)

// TestInsert compares the rows that a point selects with a stable sort of all rows.
func TestInsert(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 50, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := &Point[string, int]{Limit: 1 + r.IntN(5)}
		if r.IntN(3) > 0 {
			p.Compare = func(a, b rows.Row[string, int]) int { return cmp.Compare(b.Value, a.Value) }
		}
		var all, best []rows.Kept[string, int]
		for i := range r.IntN(20) {
			key := fmt.Sprintf("k%02d", i)
			k := rows.Kept[string, int]{Row: rows.Row[string, int]{Key: key, Value: r.IntN(4)}, KeyBytes: []byte(key)}
			all, best = append(all, k), p.insert(best, k)
		}
		rows.Sort(all, p.Compare)
		want := rows.Cut(all, p.Limit)
		same := func(a, b rows.Kept[string, int]) bool { return a.Row == b.Row }
		if !slices.EqualFunc(best, want, same) {
			t.Errorf("seed %d: selected %v, want %v", seed, best, want)
		}
	})
}

// TestRowKey: the rows of a batch are together, in order of their keys. The rows of an
// earlier batch come before them.
func TestRowKey(t *testing.T) {
	t.Parallel()
	keys := []string{
		string(rowKey("a", 1, []byte("z"))), string(rowKey("a", 2, nil)), string(rowKey("a", 2, []byte{0})),
		string(rowKey("a", 2, []byte("z"))), string(rowKey("a", 256, nil)), string(rowKey("b", 1, nil)), string(rowKey("aa", 1, nil)),
	}
	if !slices.IsSorted(keys) {
		t.Errorf("not in order: %q", keys)
	}
	if keys[0] <= marksPrefix+"\xff" {
		t.Errorf("%q is among the watermarks", keys[0])
	}
}
