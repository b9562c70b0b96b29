package engine

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

// TestTimeIndexReturnsRowsInOrder compares an index with a sorted list. Rows are added,
// taken by time and removed one by one.
func TestTimeIndexReturnsRowsInOrder(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 50, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		budget := NewShared(1 << 20).NewBudget()
		x := NewTimeIndex(budget)
		var rows []timedKey
		for range 500 {
			switch r.IntN(10) {
			case 0:
				until := int64(r.IntN(100))
				for at, key, ok := x.Take(until); ok; at, key, ok = x.Take(until) {
					if first := rows[0]; first.at != at || first.key != string(key) {
						t.Fatalf("seed %d: took %d %s, want %d %s", seed, at, key, first.at, first.key)
					}
					rows = rows[1:]
				}
				if len(rows) > 0 && rows[0].at <= until {
					t.Fatalf("seed %d: %v was left behind until %d", seed, rows[0], until)
				}
			case 1:
				odd := func(at int64) bool { return at%8 != 0 }
				if err := x.Keep(func(at int64, _ []byte) (bool, error) { return odd(at), nil }); err != nil {
					t.Fatal(err)
				}
				rows = slices.DeleteFunc(rows, func(k timedKey) bool { return !odd(k.at) })
			default:
				row := timedKey{int64(r.IntN(100)), fmt.Sprint(r.IntN(20))}
				x.Add(row.at, []byte(row.key))
				if i, found := slices.BinarySearchFunc(rows, row, compareTimed); !found {
					rows = slices.Insert(rows, i, row)
				}
			}
		}
		if at, _, ok := x.First(); ok != (len(rows) > 0) || ok && cmp.Compare(at, rows[0].at) != 0 {
			t.Fatalf("seed %d: the first row is at %d (%t), want %v", seed, at, ok, rows)
		}
		if x.Close(); budget.used != 0 {
			t.Fatalf("seed %d: %d bytes are still counted", seed, budget.used)
		}
	})
}
