package batch_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

type pointer struct{ X *int }

func TestBuildReports(t *testing.T) {
	t.Parallel()
	type batches = batch.Batches[string, string]
	for _, test := range []struct {
		name string
		use  func(b *topology.Builder, five batches)
		want []string // in the error; none: no error
	}{
		{"twice the same", func(_ *topology.Builder, five batches) {
			v := batch.CountByValue(five, "v")
			v.Top(5).Print(io.Discard)
			v.Top(5).Print(io.Discard)
		}, []string{`"v-top" is used by Top and by Top`, `"v-top-print" is used by Print and by Print`, ".Named(...)"}},
		{"twice, with a name", func(_ *topology.Builder, five batches) {
			v := batch.CountByValue(five, "v")
			v.Top(5).Print(io.Discard)
			v.Top(5).Named("again").Print(io.Discard)
			v.Print(io.Discard)
			v.Print(io.Discard).Named("v-print-again")
		}, nil},
		{"two aggregations of one name", func(_ *topology.Builder, five batches) {
			five.Count("v").Print(io.Discard)
			batch.CountByValue(five, "v").Print(io.Discard)
		}, []string{`"v" is used by Count and by CountByValue`, "give one of them another name"}},
		{"no name", func(_ *topology.Builder, five batches) { five.Count("").Print(io.Discard) }, []string{"Count on \"five\": needs a name"}},
		{"a window that is not a multiple", func(_ *topology.Builder, five batches) {
			five.Count("n").Window(12 * time.Second).Print(io.Discard)
		}, []string{`Window of "n": 12s must be a multiple of the interval 5s`}},
		{"a window of what is no aggregation", func(_ *topology.Builder, five batches) {
			batch.CountByValue(five, "v").Top(2).Window(10 * time.Second).Print(io.Discard)
		}, []string{`Window of "v-top": only an aggregation can be windowed`}},
		{"an interval below the millisecond", func(b *topology.Builder, _ batches) {
			s := topology.Source(b, "in", serde.String, serde.String)
			batch.Every(s, "fast", 1500*time.Microsecond).Count("n").Print(io.Discard)
		}, []string{`Every "fast": the interval 1.5ms`}},
		{"no serde to count by", func(_ *topology.Builder, five batches) {
			batch.CountByValue(batch.MapValues(five, strings.ToUpper, nil), "v").Print(io.Discard)
		}, []string{`CountByValue "v": needs serdes`}},
		{"no serde to send", func(_ *topology.Builder, five batches) {
			v := batch.CountByValue(five, "v")
			batch.MapRows(v, func(r batch.Row[string, int64]) float64 { return 0 }, nil).To("out")
			batch.MapRows(v, func(r batch.Row[string, int64]) float64 { return 0 }, nil).Named("other").Print(io.Discard)
		}, []string{`To "v-map-to-out": needs a serde for the values`, `"other-print": needs a serde for the values, to gather them`}},
		{"no order", func(_ *topology.Builder, five batches) {
			wrap := func(s string) pointer { return pointer{} }
			keys := func(r processor.Record[string, string]) processor.Record[string, pointer] {
				return processor.WithValue(r, wrap(r.Value))
			}
			p := batch.Map(five, keys, serde.String, serde.JSON[pointer]())
			batch.ReduceByKey(p, "p", func(a, b pointer) pointer { return a }).Top(2).Print(io.Discard)
		}, []string{`Top of "p": values of type batch_test.pointer have no order: use SortBy and Take`}},
		{"no rows", func(_ *topology.Builder, five batches) {
			five.Count("n").Top(0).Print(io.Discard, batch.Rows(-1))
		}, []string{`Top of "n": the number of rows is 0`, `Print of "n-top": the number of rows is -1`}},
		{"nil functions", func(_ *topology.Builder, five batches) {
			batch.ReduceByKey(five.Filter(nil), "sum", nil).Filter(nil).ForEach(nil)
		}, []string{"Filter on \"five\": the function is nil", "ReduceByKey on \"five\": the function is nil", "Filter of \"sum\": the function is nil", "ForEach of \"sum-filter\": the function is nil"}},
		{"a negative grace", func(b *topology.Builder, _ batches) {
			s := topology.Source(b, "in", serde.String, serde.String)
			batch.Every(s, "times", time.Second, batch.ByRecordTime(-time.Second)).Count("n").Print(io.Discard)
		}, []string{`Every "times": the grace -1s must not be negative`}},
		{"two Every of one name", func(b *topology.Builder, five batches) {
			s := topology.Source(b, "in", serde.String, serde.String)
			batch.Every(s, "five", time.Second).Count("n").Print(io.Discard)
			five.Count("m").Print(io.Discard)
		}, []string{`"five"`}},
		{"nothing that is counted", func(*topology.Builder, batches) {}, nil},
		{"a name of a topic", func(_ *topology.Builder, five batches) { five.Count("in").Print(io.Discard) }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := topology.New()
			five := batch.Every(topology.Source(b, "in", serde.String, serde.String), "five", 5*time.Second)
			test.use(b, five)
			_, err := b.Build()
			if len(test.want) == 0 && err != nil {
				t.Errorf("Build: %v", err)
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Build: %v\nwant it to contain %s", err, want)
				}
			}
		})
	}
}

// TestBuildTwice: a declaration after Build is an error.
func TestBuildTwice(t *testing.T) {
	t.Parallel()
	b := topology.New()
	five := batch.Every(topology.Source(b, "in", serde.String, serde.String), "five", 5*time.Second)
	five.Count("n").Print(io.Discard)
	build(t, b)
	five.Count("m").Print(io.Discard)
	if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), "comes after Build") {
		t.Errorf("Build: %v", err)
	}
}

// TestNames: stores and nodes have names that derive from the user's names.
func TestNames(t *testing.T) {
	t.Parallel()
	b := topology.New()
	tweets(b, io.Discard)
	text := build(t, b).Describe().String()
	for _, want := range []string{
		"originals-repartition", "gather-repartition",
		"originals-count (stores: [originals, tweets, authors, authors-window-1m])", "gather-results (stores: [gather])",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nhas no %s", text, want)
		}
	}
}
