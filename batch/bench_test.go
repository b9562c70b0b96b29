package batch

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// BenchmarkStamp is what a record costs in its stamping task: a filter, Count, and
// CountByValue with 1000 values; a commit per 10000 records.
func BenchmarkStamp(b *testing.B) {
	build := topology.New()
	every := Every(topology.Source(build, "in", serde.String, serde.String), "every", time.Second)
	every.Count("n").To("out")
	CountByValue(every.Filter(func(s string) bool { return s != "" }), "v").To("out")
	s := &stamper[string, string]{stamps: stamps{e: every.e}, root: every.n}
	ctx := &fakeHost{now: time.UnixMilli(1_000_000), positions: map[string]int64{}, task: processor.Task{Partitions: 1}}
	if err := s.Init(ctx.context()); err != nil {
		b.Fatal(err)
	}
	var values [1000]string
	for i := range values {
		values[i] = fmt.Sprint("author", i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := s.Process(ctx.context(), processor.NewRecord("k", values[i%len(values)], 1)); err != nil {
			b.Fatal(err)
		}
		if i%10_000 == 0 {
			if err := s.Flush(ctx.context()); err != nil {
				b.Fatal(err)
			}
			ctx.forwarded, ctx.keys = ctx.forwarded[:0], ctx.keys[:0]
		}
	}
}

// BenchmarkClose is what a batch of 10000 distinct values costs in all tasks, stores and
// changelogs included, with and without a window of twelve batches, by distinct value.
func BenchmarkClose(b *testing.B) {
	for _, bench := range []struct {
		name string
		use  func(Result[string, int64])
	}{
		{"top", func(r Result[string, int64]) { r.Top(5).To("out") }},
		{"top-and-window", func(r Result[string, int64]) {
			r.Top(5).To("out")
			r.Window(time.Minute).Top(5).To("out")
		}},
		{"to", func(r Result[string, int64]) { r.To("out") }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			build := topology.New()
			bench.use(CountByValue(Every(topology.Source(build, "in", serde.String, serde.String), "every", 5*time.Second), "v"))
			topo, err := build.Build()
			if err != nil {
				b.Fatal(err)
			}
			const values = 10_000
			d := topologytest.New(b, topo, topologytest.CommitInterval(time.Hour))
			in := topologytest.Input(d, "in", serde.String, serde.String)
			b.ResetTimer()
			for range b.N {
				for i := range values {
					in.Send("", fmt.Sprint("value", i), d.Now())
				}
				d.Advance(5 * time.Second)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/values, "ns/value")
		})
	}
}
