package topology

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

func firstLetter(v string) string { return v[:1] }

// TestGroupTable moves rows between groups, and deletes them.
func TestGroupTable(t *testing.T) {
	t.Parallel()
	b := New()
	g := GroupTable(SourceTable(b, "in", serde.String, serde.String), "by-letter", firstLetter, serde.String)
	plus := func(a, v string) string { return a + "+" + v }
	minus := func(a, v string) string { return a + "-" + v }
	MapTable(g.Count("counts"), func(n int64) string { return fmt.Sprint(n) }, serde.String).Stream().To("counts-out")
	g.Reduce("reduced", plus, minus).Stream().To("reduced-out")
	AggregateTable(g, "texts", func() string { return "" },
		func(a string, r rec) string { return a + "+" + r.Value },
		func(a string, r rec) string { return a + "-" + r.Value }, serde.String).Stream().To("texts-out")
	f := run(t, b, graphtest.WithEveryUpdate())
	f.Feed("in", "k:a1@10")
	f.Expect("counts-out a:1@10", "reduced-out a:a1@10", "texts-out a:+a1@10")
	f.Feed("in", "l:a2@5") // the group keeps the larger timestamp
	f.Expect("counts-out a:2@10", "reduced-out a:a1+a2@10", "texts-out a:+a1+a2@10")
	f.Feed("in", "k:a3@20") // within the group
	f.Expect("counts-out a:2@20", "reduced-out a:a1+a2-a1+a3@20", "texts-out a:+a1+a2-a1+a3@20")
	f.Feed("in", "k:b1@30") // to another group
	f.Expect(
		"counts-out a:1@30", "reduced-out a:a1+a2-a1+a3-a3@30", "texts-out a:+a1+a2-a1+a3-a3@30",
		"counts-out b:1@30", "reduced-out b:b1@30", "texts-out b:+b1@30",
	)
	f.Feed("in", "k:-@40", "z:-@50")
	f.Expect("counts-out b:0@40", "reduced-out b:b1-b1@40", "texts-out b:+b1-b1@40")
}

// TestGroupTableAddsUp compares the aggregates of groups with those of a model, over
// several commits. The table is changed in place and regrouped twice.
func TestGroupTableAddsUp(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 10, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 31))
		for _, opts := range [][]graphtest.Option{nil, {graphtest.WithEveryUpdate()}} {
			b := New()
			// The row of a key counts the values of the key. The groups contain the keys
			// with equally many values.
			counts := Aggregate(GroupByKey(Source(b, "in", serde.String, serde.String), "by"), "rows",
				func() map[string]int { return map[string]int{} },
				func(row map[string]int, r rec) map[string]int { row[r.Value]++; return row },
				serde.JSON[map[string]int]())
			sizes := GroupTable(counts, "by-size", func(row map[string]int) string { return fmt.Sprint(len(row)) }, serde.String)
			sum := func(row map[string]int) (n int64) {
				for _, v := range row {
					n += int64(v)
				}
				return n
			}
			total := AggregateTable(sizes, "totals", func() int64 { return 0 },
				func(a int64, r processor.Record[string, map[string]int]) int64 { return a + sum(r.Value) },
				func(a int64, r processor.Record[string, map[string]int]) int64 { return a - sum(r.Value) }, serde.Int64)
			GroupTable(total, "all", func(int64) string { return "all" }, serde.String).Reduce("sum",
				func(a, v int64) int64 { return a + v }, func(a, v int64) int64 { return a - v }).
				Stream().To("sums")
			MapTable(total, func(n int64) string { return fmt.Sprint(n) }, serde.String).Stream().To("totals-out")
			f := run(t, b, opts...)
			model := map[string]map[string]int{}
			for i := range 50 {
				key, value := string(rune('a'+r.IntN(3))), string(rune('x'+r.IntN(3)))
				if model[key] == nil {
					model[key] = map[string]int{}
				}
				model[key][value]++
				f.Feed("in", fmt.Sprintf("%s:%s@%d", key, value, i))
				if r.IntN(6) == 0 {
					f.Commit()
				}
			}
			f.Commit()
			want := map[string]string{}
			for size := range 4 {
				n := int64(0)
				for _, row := range model {
					if len(row) == size {
						n += sum(row)
					}
				}
				if n > 0 {
					want[fmt.Sprint(size)] = fmt.Sprint(n)
				}
			}
			if got := lastTotals(f.Out()); !maps.Equal(got, want) {
				t.Errorf("every update %t: totals %v, want %v", opts != nil, got, want)
			}
		}
	})
}

// lastTotals returns the last value of each key that was sent to totals-out, without
// zeros.
func lastTotals(out []string) map[string]string {
	last := map[string]string{}
	for _, text := range out {
		if record, ok := strings.CutPrefix(text, "totals-out "); ok {
			record, _, _ = strings.Cut(record, "@")
			key, value, _ := strings.Cut(record, ":")
			last[key] = value
		}
	}
	maps.DeleteFunc(last, func(_, v string) bool { return v == "0" })
	return last
}

// TestUngroupedRows: rows without a key are in no group, and are counted once, when they
// are new. A function that fails does not change the groups.
func TestUngroupedRows(t *testing.T) {
	t.Parallel()
	b := New()
	s := SourceTable(b, "in", serde.String, serde.String)
	g := GroupTableRecord(s, "by", func(r rec) (*string, error) {
		switch r.Value {
		case "none":
			return nil, nil
		case "bad":
			return nil, errors.New("bad")
		}
		return &r.Value, nil
	}, serde.Nullable(serde.String))
	g.Count("n").Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate(), graphtest.WithPolicy(processor.Skip))
	f.Feed("in", "k:a@1", "k:none@2", "l:bad@3", "k:a@4")
	f.ExpectDrops("by: null key")
	if len(f.Failures) != 1 || !strings.Contains(f.Failures[0], "by: process: bad") {
		t.Errorf("failures %q", f.Failures)
	}
	if got := f.Out(); len(got) != 3 {
		t.Errorf("sent %q", got)
	}
}

func TestGroupTableProblems(t *testing.T) {
	t.Parallel()
	b := New()
	in := SourceTable(b, "in", serde.String, serde.String, WithoutStore())
	GroupTable(in.Filter(func(string) bool { return true }), "by", firstLetter, serde.String).Count("n")
	GroupTable(in.Stored("st"), "nil-key", nil, serde.Serde[string](nil)).Reduce("r", nil, nil)
	_, err := b.Build()
	for _, want := range []string{
		`groupTable "by": the table has no store, so its old values cannot be subtracted: remove WithoutStore where table "in-table" is made, or call Stored on the table first`,
		`groupTable "nil-key": the function is nil`,
		`groupTable "nil-key": needs a serde for its keys`,
		`reduce "r": the function is nil`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in the error %v", want, err)
		}
	}
	if err != nil && slices.Contains(strings.Split(err.Error(), "\n"), `groupTable "nil-key": the table has no store`) {
		t.Errorf("the table has a store: %v", err)
	}
}
