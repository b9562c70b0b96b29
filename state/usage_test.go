package state_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/state"
)

func TestMostRowsIsChecked(t *testing.T) {
	t.Parallel()
	err := state.KeyValue("st", text{}, text{}, state.MostRows(0)).(interface{ Validate() error }).Validate()
	if err == nil || !strings.Contains(err.Error(), "MostRows(0)") {
		t.Errorf("Validate: %v", err)
	}
}

// The least recently used row gives way, and the changelog says so before it has the new
// row.
func TestMostRowsLogsDeletions(t *testing.T) {
	t.Parallel()
	k := newTask(t, state.KeyValue("st", text{}, text{}, state.MostRows(2), state.EveryUpdate()))
	put := func(key string) {
		t.Helper()
		if err := k.store.Put(key, key); err != nil {
			t.Fatal(err)
		}
	}
	put("a")
	put("b")
	if _, _, err := k.store.Get("a"); err != nil {
		t.Fatal(err)
	}
	put("c")
	if want, got := []string{"a=a@0", "b=b@0", "b@0", "c=c@0"}, format(k.Pending("st")); !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// modelRow is a row of a bounded store. The model has them in order of use.
type modelRow struct {
	key, value string
	at         int64
}

func sorted(rows []modelRow) []modelRow {
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b modelRow) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key)) })
	return rows
}

// A bounded store has the rows of a model, over commits, aborts, restarts and lost disks.
func TestMostRowsEqualsModel(t *testing.T) {
	t.Parallel()
	for name, opts := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seedtest.Run(t, 30, func(t *testing.T, seed uint64) {
				r := rand.New(rand.NewPCG(seed, 3))
				most := 1 + r.IntN(5)
				k := newTask(t, state.KeyValue("st", text{}, text{}, append(slices.Clone(opts), state.MostRows(most))...))
				var open, committed []modelRow
				reopen := func(do func()) {
					do()
					open = sorted(committed)
				}
				for n := range 120 {
					key := string(rune('a' + r.IntN(8)))
					i := slices.IndexFunc(open, func(row modelRow) bool { return row.key == key })
					k.Task.SetNow(int64(n))
					var err error
					switch r.IntN(12) {
					case 0:
						k.Commit()
						committed = slices.Clone(open)
					case 1:
						reopen(k.Abort)
					case 2:
						reopen(k.Restart)
					case 3:
						reopen(k.LoseDisk)
					case 4:
						if _, _, err = k.store.Delete(key); i >= 0 {
							open = slices.Delete(open, i, i+1)
						}
					case 5, 6, 7:
						_, _, err = k.store.Get(key)
						if i >= 0 {
							row := open[i]
							open = append(slices.Delete(open, i, i+1), row)
						}
					default:
						if err = k.store.Put(key, fmt.Sprint(n)); i >= 0 {
							open = slices.Delete(open, i, i+1)
						} else if len(open) == most {
							open = open[1:]
						}
						open = append(open, modelRow{key, fmt.Sprint(n), int64(n)})
					}
					if err != nil {
						t.Fatal(err)
					}
					want, got := map[string]string{}, map[string]string{}
					for _, row := range open {
						want[row.key] = row.value
					}
					for e, err := range k.store.All() {
						if err != nil {
							t.Fatal(err)
						}
						got[e.Key] = e.Value
					}
					if !maps.Equal(got, want) {
						t.Fatalf("seed %d, step %d: rows %v, want %v", seed, n, got, want)
					}
				}
			})
		})
	}
}
