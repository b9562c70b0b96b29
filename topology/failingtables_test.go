package topology

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// luck decides whether a function fails for a value. A value that is bad always fails.
type luck struct {
	bad     func(v string) bool
	err     func(v string) error // of a function
	noGroup func(v string) bool  // the function for the groups always fails
}

// badLuck fails, by an error or a panic, for each third number.
func badLuck() luck {
	bad := func(v string) bool { return number(v, true)%3 == 0 }
	return luck{bad, func(v string) error {
		switch {
		case !bad(v):
			return nil
		case number(v, true)%2 == 0:
			panic("bad luck")
		}
		return errors.New("bad luck")
	}, func(v string) bool { return number(v, true)%7 == 0 }}
}

// slowStart fails in each second call, so that a retry succeeds.
func slowStart() luck {
	never := func(string) bool { return false }
	calls := 0
	return luck{never, func(string) error {
		if calls++; calls%2 == 1 {
			return errors.New("not ready")
		}
		return nil
	}, never}
}

// unluckyTables are derivations of a table whose functions fail for some rows, and what
// the row of a key is: absent if its function fails.
var unluckyTables = map[string]struct {
	derive func(left, right Table[string, string], of luck) Table[string, string]
	row    func(l string, hasL bool, r string, hasR bool, of luck) (string, bool)
}{
	"map": {
		func(left, _ Table[string, string], of luck) Table[string, string] {
			return TryMapTable(left, func(v string) (string, error) { return v + "1", of.err(v) }, serde.String)
		},
		func(l string, hasL bool, _ string, _ bool, of luck) (string, bool) {
			return l + "1", hasL && !of.bad(l)
		},
	},
	"filter": {
		func(left, _ Table[string, string], of luck) Table[string, string] {
			return left.TryFilter(func(v string) (bool, error) { return number(v, true)%2 == 1, of.err(v) })
		},
		func(l string, hasL bool, _ string, _ bool, of luck) (string, bool) {
			return l, hasL && !of.bad(l) && number(l, true)%2 == 1
		},
	},
	"join": {
		func(left, right Table[string, string], of luck) Table[string, string] {
			return TryJoinTables(left, right, func(l, r string) (string, error) {
				v := product(l, true, r, true)
				return v, of.err(v)
			}, serde.String)
		},
		func(l string, hasL bool, r string, hasR bool, of luck) (string, bool) {
			if !hasL || !hasR {
				return "", false
			}
			v := product(l, true, r, true)
			return v, !of.bad(v)
		},
	},
	"join of a join of a mapped table": {
		func(left, right Table[string, string], of luck) Table[string, string] {
			mapped := TryMapTable(right, func(v string) (string, error) { return v, of.err(v) }, serde.String)
			odd := func(v string) bool { return number(v, true)%2 == 1 }
			return OuterJoinTables(OuterJoinTables(left, mapped, product, serde.String), left.Filter(odd), product, serde.String).Stored("stored")
		},
		func(l string, hasL bool, r string, hasR bool, of luck) (string, bool) {
			hasR = hasR && !of.bad(r)
			return product(product(l, hasL, r, hasR), true, l, hasL && number(l, true)%2 == 1), hasL || hasR
		},
	},
}

// TestFailingRowsAddUp: if a function of a table fails for a row, and the error policy
// skips the error, the row is absent behind the function. A group therefore loses exactly
// the values that it got, and gets the next value of the row.
func TestFailingRowsAddUp(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 8, func(t *testing.T, seed uint64) {
		for name, kind := range unluckyTables {
			for _, action := range []processor.Action{processor.Skip, processor.Retry} {
				for _, opts := range [][]graphtest.Option{nil, {graphtest.WithEveryUpdate()}} {
					of := badLuck()
					if action == processor.Retry {
						of = slowStart()
					}
					r := rand.New(rand.NewPCG(seed, 41))
					derive := func(left, right Table[string, string]) Table[string, string] { return kind.derive(left, right, of) }
					model, got := addUpUnlucky(t, r, derive, of, append(opts, graphtest.WithPolicy(action)))
					totals, want := map[string]int64{}, map[string]string{}
					for _, key := range []string{"a", "b", "c"} {
						l, hasL := model["left"][key]
						r, hasR := model["right"][key]
						if v, ok := kind.row(l, hasL, r, hasR, of); ok && !of.noGroup(v) {
							totals[v[len(v)-1:]] += number(v, true)
						}
					}
					for digit, n := range totals {
						want[digit] = fmt.Sprint(n)
					}
					if !maps.Equal(got, want) {
						t.Errorf("%s, %v, every update %t: sums %v, want %v", name, action, len(opts) > 0, got, want)
					}
				}
			}
		}
	})
}

// addUpUnlucky runs random updates through a derived table. It returns the last rows of
// the topics, and the sums of the derived rows by their last digit.
func addUpUnlucky(t *testing.T, r *rand.Rand, derive func(left, right Table[string, string]) Table[string, string], of luck, opts []graphtest.Option) (model map[string]map[string]string, got map[string]string) {
	b := New()
	derived := derive(SourceTable(b, "left", serde.String, serde.String), SourceTable(b, "right", serde.String, serde.String))
	digit := func(v string) (string, error) {
		if of.noGroup(v) {
			return "", errors.New("no group")
		}
		return v[len(v)-1:], nil
	}
	plus := func(n int64, r processor.Record[string, string]) int64 { return n + number(r.Value, true) }
	minus := func(n int64, r processor.Record[string, string]) int64 { return n - number(r.Value, true) }
	sums := AggregateTable(TryGroupTable(derived, "by-digit", digit, serde.String), "sums", func() int64 { return 0 }, plus, minus, serde.Int64)
	MapTable(sums, func(n int64) string { return fmt.Sprint(n) }, serde.String).Stream().To("totals-out")
	f := run(t, b, opts...)
	model = map[string]map[string]string{"left": {}, "right": {}}
	for i := range 60 {
		topic, key, value := []string{"left", "right"}[r.IntN(2)], string(rune('a'+r.IntN(3))), fmt.Sprint(2+r.IntN(50))
		if model[topic][key] = value; r.IntN(4) == 0 {
			value = "-"
			delete(model[topic], key)
		}
		f.Feed(topic, fmt.Sprintf("%s:%s@%d", key, value, i))
		if r.IntN(5) == 0 {
			f.Commit()
		}
	}
	f.Commit()
	return model, lastTotals(f.Out())
}

// TestForeignJoinOfFailingRows: the rows of derived tables whose functions fail are
// absent for a foreign-key join.
func TestForeignJoinOfFailingRows(t *testing.T) {
	t.Parallel()
	good := func(v string) (string, error) {
		if v == "bad" {
			return "", errors.New("bad row")
		}
		return v, nil
	}
	b := New()
	left := TryMapTable(SourceTable(b, "l", serde.String, serde.String), good, serde.String)
	right := TryMapTable(SourceTable(b, "r", serde.String, serde.String), good, serde.String)
	JoinForeign(left, right, "join", ownerOf, func(l, r string) string { return l + "+" + r }, serde.String).Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate(), graphtest.WithPolicy(processor.Skip))
	f.Feed("r", "x:X@1")
	f.Feed("l", "a:x/1@2", "a:bad@3", "a:x/2@4")
	f.Expect("out a:x/1+X@2", "out a:-@3", "out a:x/2+X@4")
	f.Feed("r", "x:bad@5")
	f.Expect("out a:-@5")
	f.Feed("l", "b:x/1@6")
	f.Expect()
	f.Feed("r", "x:Y@7")
	f.Expect("out a:x/2+Y@7", "out b:x/1+Y@7")
}

// TestGroupWhoseAdderFails: a subtractor changes the aggregate in place, and the adder
// fails afterwards. The group is the same in memory and in the store, and its update is
// sent.
func TestGroupWhoseAdderFails(t *testing.T) {
	t.Parallel()
	add := func(set map[string]int, r rec) map[string]int {
		if r.Value == "bad" {
			panic("adder")
		}
		set[r.Value]++
		return set
	}
	subtract := func(set map[string]int, r rec) map[string]int {
		if set[r.Value]--; set[r.Value] == 0 {
			delete(set, r.Value)
		}
		return set
	}
	for mode, opts := range map[string][]graphtest.Option{"merged": nil, "every update": {graphtest.WithEveryUpdate()}} {
		b := New()
		g := GroupTable(SourceTable(b, "in", serde.String, serde.String), "by", func(string) string { return "all" }, serde.String)
		AggregateTable(g, "sets", func() map[string]int { return map[string]int{} }, add, subtract, serde.JSON[map[string]int]()).Stream().To("out")
		f := run(t, b, append(opts, graphtest.WithPolicy(processor.Skip))...)
		f.Feed("in", "k:a@1", "l:b@2")
		f.Commit()
		f.Out()
		f.Feed("in", "k:bad@3")
		f.Commit()
		if got := f.Out(); len(got) != 1 || got[0] != `out all:{"b":1}@3` {
			t.Errorf("%s: sent %q", mode, got)
		}
		if len(f.Failures) != 1 {
			t.Errorf("%s: failures %q", mode, f.Failures)
		}
	}
}
