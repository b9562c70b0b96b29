package topology

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

func outer(a string, hasA bool, b string, hasB bool) string {
	return fmt.Sprint(a, hasA, "+", b, hasB)
}

// TestJoinTables feeds both tables with updates, with deletions, and with deletions of
// absent rows.
func TestJoinTables(t *testing.T) {
	t.Parallel()
	b := New()
	left, right := SourceTable(b, "l", serde.String, serde.String), SourceTable(b, "r", serde.String, serde.String)
	JoinTables(left, right, both, serde.String).Stream().To("inner")
	LeftJoinTables(left, right, maybe, serde.String).Stream().To("left")
	OuterJoinTables(left, right, outer, serde.String).Stream().To("outer")
	f := run(t, b, graphtest.WithEveryUpdate())
	for _, step := range []struct {
		topic, record string
		want          []string
	}{
		{"l", "k:a@5", []string{"left k:a+false@5", "outer k:atrue+false@5"}},
		{"r", "k:x@3", []string{"inner k:a+x@5", "left k:a+xtrue@5", "outer k:atrue+xtrue@5"}},
		{"l", "k:b@4", []string{"inner k:b+x@4", "left k:b+xtrue@4", "outer k:btrue+xtrue@4"}},
		{"l", "k:-@9", []string{"inner k:-@9", "left k:-@9", "outer k:false+xtrue@9"}},
		{"l", "k:-@10", []string{"inner k:-@10", "left k:-@10", "outer k:false+xtrue@10"}},
		{"r", "k:-@1", []string{"outer k:-@1"}},
		{"r", "k:-@2", nil},
		{"r", "m:y@7", []string{"outer m:false+ytrue@7"}},
		{"l", "m:c@8", []string{"inner m:c+y@8", "left m:c+ytrue@8", "outer m:ctrue+ytrue@8"}},
		{"r", "m:-@3", []string{"inner m:-@8", "left m:c+false@8", "outer m:ctrue+false@8"}},
	} {
		f.Feed(step.topic, step.record)
		f.Expect(step.want...)
		if t.Failed() {
			t.Fatalf("after %s on %s", step.record, step.topic)
		}
	}
}

// TestJoinBehindStoredFilter: the filter does not know which rows were there, but the
// store of its result does. Deletions that delete nothing are not forwarded.
func TestJoinBehindStoredFilter(t *testing.T) {
	t.Parallel()
	b := New()
	left := SourceTable(b, "l", serde.String, serde.String, WithoutStore()).Filter(startsWithY).Stored("kept")
	LeftJoinTables(left, SourceTable(b, "r", serde.String, serde.String), maybe, serde.String).Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate())
	f.Feed("r", "k:x@0")
	f.Feed("l", "k:n@1", "k:y@2", "k:n@3", "k:n@4", "k:-@5")
	f.Expect("out k:y+xtrue@2", "out k:-@3")
}

// TestMergedJoinTables: both rows change between two commits. The updates of the result
// are consistent with one another, and rows that are deleted together are deleted.
func TestMergedJoinTables(t *testing.T) {
	t.Parallel()
	b := New()
	left, right := SourceTable(b, "l", serde.String, serde.String), SourceTable(b, "r", serde.String, serde.String)
	JoinTables(left, right, both, serde.String).Stream().To("inner")
	f := run(t, b)
	f.Feed("l", "k:a@1")
	f.Feed("r", "k:x@2")
	f.Commit()
	f.Expect("inner k:a+x@2")
	f.Feed("r", "k:y@3")
	f.Feed("l", "k:b@4")
	f.Commit()
	f.Expect("inner k:b+x@4", "inner k:b+y@4")
	f.Feed("r", "k:-@5")
	f.Feed("l", "k:-@6")
	f.Commit()
	f.Expect("inner k:-@6")
}

// TestTableJoinedWithItself: deletions reach the result, although both rows are deleted
// at once.
func TestTableJoinedWithItself(t *testing.T) {
	t.Parallel()
	for mode, opts := range map[string][]graphtest.Option{"merged": nil, "every update": {graphtest.WithEveryUpdate()}} {
		b := New()
		users := SourceTable(b, "in", serde.String, serde.String)
		joined := JoinTables(users, MapTable(users.Filter(startsWithY), strings.ToUpper, serde.String), both, serde.String).Stored("joined")
		joined.Stream().To("out")
		GroupTable(joined, "by-letter", firstLetter, serde.String).Count("n").Stream().To("groups")
		f := run(t, b, opts...)
		f.Feed("in", "k:y1@1")
		f.Commit()
		f.Feed("in", "k:-@2")
		f.Commit()
		got := f.Out()
		text := strings.Join(got, " ")
		if !strings.Contains(text, "out k:y1+Y1@1") || !strings.Contains(text, "out k:-@2") {
			t.Errorf("%s: sent %q", mode, got)
		}
		if last := got[len(got)-1]; last != "groups y:\x00\x00\x00\x00\x00\x00\x00\x00@2" {
			t.Errorf("%s: the last count is %q", mode, last)
		}
	}
}

// number returns the value of a row of the property test, or 1 for an absent row.
func number(v string, there bool) int64 {
	if !there {
		return 1
	}
	n, _ := strconv.ParseInt(v, 10, 64)
	return n
}

// product joins values whose products differ for different pairs.
func product(a string, hasA bool, b string, hasB bool) string {
	return strconv.FormatInt(number(a, hasA)*number(b, hasB), 10)
}

// joinsOfProducts are the kinds of joins of two tables. The rule says for which rows
// there is a result.
var joinsOfProducts = map[string]struct {
	join  func(a, b Table[string, string]) Table[string, string]
	joins func(a, b bool) bool
}{
	"inner": {
		func(a, b Table[string, string]) Table[string, string] {
			return JoinTables(a, b, func(a, b string) string { return product(a, true, b, true) }, serde.String)
		}, func(a, b bool) bool { return a && b },
	},
	"left": {
		func(a, b Table[string, string]) Table[string, string] {
			return LeftJoinTables(a, b, func(a, b string, ok bool) string { return product(a, true, b, ok) }, serde.String)
		}, func(a, _ bool) bool { return a },
	},
	"outer": {
		func(a, b Table[string, string]) Table[string, string] {
			return OuterJoinTables(a, b, product, serde.String)
		}, func(a, b bool) bool { return a || b },
	},
}

// TestJoinedTablesAddUp groups the rows of joins over random updates and commits. The
// sums of the groups must equal those of a model: a group loses exactly the values that
// it got.
func TestJoinedTablesAddUp(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 8, func(t *testing.T, seed uint64) {
		for name, kind := range joinsOfProducts {
			for _, mode := range []string{"merged", "every update", "left every update", "right every update"} {
				r := rand.New(rand.NewPCG(seed, 37))
				want, got := addUp(t, r, mode, kind.join, kind.joins)
				if !maps.Equal(got, want) {
					t.Errorf("%s, %s: sums %v, want %v", name, mode, got, want)
				}
			}
		}
	})
}

// addUp runs random updates through a join of a join, and returns the sums by the last
// digit of the result.
func addUp(t *testing.T, r *rand.Rand, mode string, join func(a, b Table[string, string]) Table[string, string], joins func(a, b bool) bool) (want, got map[string]string) {
	b := New()
	table := func(topic string) Table[string, string] {
		var opts []SourceTableOption
		if mode == topic+" every update" {
			opts = append(opts, EveryUpdate())
		}
		return SourceTable(b, topic, serde.String, serde.String, opts...)
	}
	odd := func(v string) bool { return number(v, true)%2 == 1 }
	left, right, third := table("left"), table("right"), table("third").Filter(odd)
	joined := join(join(left, right), third)
	plus := func(n int64, r processor.Record[string, string]) int64 { return n + number(r.Value, true) }
	minus := func(n int64, r processor.Record[string, string]) int64 { return n - number(r.Value, true) }
	digit := func(v string) string { return v[len(v)-1:] }
	sums := AggregateTable(GroupTable(joined, "by-digit", digit, serde.String), "sums", func() int64 { return 0 }, plus, minus, serde.Int64)
	MapTable(sums, func(n int64) string { return fmt.Sprint(n) }, serde.String).Stream().To("totals-out")
	var opts []graphtest.Option
	if mode == "every update" {
		opts = append(opts, graphtest.WithEveryUpdate())
	}
	f := run(t, b, opts...)
	topics := []string{"left", "right", "third"}
	model := map[string]map[string]string{}
	for _, topic := range topics {
		model[topic] = map[string]string{}
	}
	for i := range 60 {
		topic, key, value := topics[r.IntN(3)], string(rune('a'+r.IntN(3))), fmt.Sprint(2+r.IntN(50))
		if model[topic][key] = value; r.IntN(4) == 0 {
			value = "-"
			delete(model[topic], key)
		}
		f.Feed(topic, fmt.Sprintf("%s:%s@%d", key, value, r.IntN(i+1)))
		if r.IntN(5) == 0 {
			f.Commit()
		}
	}
	f.Commit()
	return modelSums(model, joins, odd), lastTotals(f.Out())
}

// modelSums joins the rows of the model, and sums the results by their last digit.
func modelSums(model map[string]map[string]string, joins func(a, b bool) bool, keep func(string) bool) map[string]string {
	totals := map[string]int64{}
	for _, key := range []string{"a", "b", "c"} {
		l, hasL := model["left"][key]
		r, hasR := model["right"][key]
		s, hasS := model["third"][key]
		hasS = hasS && keep(s)
		lr, there := "", joins(hasL, hasR)
		if there {
			lr = product(l, hasL, r, hasR)
		}
		if joins(there, hasS) {
			all := product(lr, there, s, hasS)
			totals[all[len(all)-1:]] += number(all, true)
		}
	}
	out := map[string]string{}
	for digit, n := range totals {
		out[digit] = fmt.Sprint(n)
	}
	return out
}

// TestTimestampOfAJoinedRow: a row of a join that another join looks up has the larger
// timestamp of its two rows.
func TestTimestampOfAJoinedRow(t *testing.T) {
	t.Parallel()
	b := New()
	table := func(topic string) Table[string, string] { return SourceTable(b, topic, serde.String, serde.String) }
	two := JoinTables(table("a"), table("b"), both, serde.String)
	JoinTables(two, table("c"), both, serde.String).Stream().To("out")
	f := run(t, b, graphtest.WithEveryUpdate())
	f.Feed("a", "k:1@5", "l:1@9")
	f.Feed("b", "k:2@9", "l:2@5")
	f.Feed("c", "k:3@7", "l:3@7")
	f.Expect("out k:1+2+3@9", "out l:1+2+3@9")
}
