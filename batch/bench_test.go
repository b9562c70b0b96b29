package batch

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// BenchmarkClose measures a batch of 10000 distinct values in all tasks, with stores and
// changelogs, with and without a window of twelve batches. The figures are per distinct
// value.
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
