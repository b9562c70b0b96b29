package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestKeepNewest compares the rows of cells that ask the database for old keys only with
// a map, over growing keys, evictions, deletions of ranges, and stores that are opened
// again.
func TestKeepNewest(t *testing.T) {
	t.Parallel()
	for _, persistent := range []bool{false, true} {
		k := newCellTask(t, 4<<20, persistent)
		var cells *Cells[string, int64]
		open := func() {
			cells = NewCells(CellsConfig[string, int64]{Store: "st", Env: k.env(), Value: number{}})
			check(t, cells.KeepNewest())
		}
		open()
		random := rand.New(rand.NewPCG(1, 0))
		model, asked := map[string]int64{}, 0
		for i := range 20_000 {
			key := fmt.Sprintf("%06d", max(0, i/20-random.IntN(40)))
			if key <= cells.above {
				asked++
			}
			cell, err := cells.Load([]byte(key), key)
			check(t, err)
			want, there := model[key]
			if cell.Present != there || cell.Value != want {
				t.Fatalf("step %d: row %s is %d, %v, want %d, %v", i, key, cell.Value, cell.Present, want, there)
			}
			if random.IntN(5) == 0 {
				check(t, cells.Set(cell, 0, false, 1, Origin{}))
				delete(model, key)
			} else {
				check(t, cells.Set(cell, int64(i), true, 1, Origin{}))
				model[key] = int64(i)
			}
			switch random.IntN(400) {
			case 0:
				k.commit(t, cells)
			case 1:
				k.commit(t, cells)
				cells.ForgetAll()
			case 2:
				k.commit(t, cells)
				cells.Close()
				open()
			case 3:
				below := []byte(fmt.Sprintf("%06d", max(0, i/20-60)))
				b := k.db.NewBatch()
				check(t, cells.Flush(b.Table(k.table)))
				check(t, b.Table(k.table).DeleteRange(nil, below))
				check(t, k.db.Apply(b))
				cells.Committed()
				cells.Forget(below)
				for key := range model {
					if key < string(below) {
						delete(model, key)
					}
				}
			}
		}
		if asked == 0 || asked > 19_000 {
			t.Errorf("%d of 20,000 rows may have been in the table only", asked)
		}
		cells.Close()
	}
}
