package batch_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// feed runs a topology for two batches of five seconds: lines arrive in the first one,
// and nothing in the second.
func feed(b *topology.Builder, lines ...string) {
	topo, err := b.Build()
	if err != nil {
		panic(err)
	}
	d := topologytest.New(topologytest.ForExample(), topo, topologytest.Partitions("lines", 3))
	in := topologytest.Input(d, "lines", serde.String, serde.String)
	for _, line := range lines {
		in.Send(line, line, d.Now())
	}
	d.Advance(5 * time.Second)
	d.Advance(5 * time.Second)
}

// The first program of Spark Streaming's guide: words per batch.
func Example() {
	b := topology.New()
	lines := topology.Source(b, "lines", serde.String, serde.String)

	five := batch.Every(lines, "words", 5*time.Second)
	words := batch.FlatMapValues(five, strings.Fields, serde.String)
	batch.CountByValue(words, "counts").Print(os.Stdout)

	feed(b, "to be or not to be", "that is the question")
	// Output:
	// -------------------------------------------
	// Time: 2020-01-01 00:00:05
	// -------------------------------------------
	// (be,2)
	// (is,1)
	// (not,1)
	// (or,1)
	// (question,1)
	// (that,1)
	// (the,1)
	// (to,2)
	//
	// -------------------------------------------
	// Time: 2020-01-01 00:00:10
	// -------------------------------------------
}

// A window gives its rows with every batch, also when nothing new has arrived.
func ExampleResult_Window() {
	b := topology.New()
	lines := topology.Source(b, "lines", serde.String, serde.String)

	five := batch.Every(lines, "words", 5*time.Second)
	counts := batch.CountByValue(batch.FlatMapValues(five, strings.Fields, serde.String), "counts")
	counts.Window(time.Minute).Top(2).ForEach(func(b batch.Batch, rows []batch.Row[string, int64]) error {
		fmt.Println(b.End.Format(time.TimeOnly), rows)
		return nil
	})

	feed(b, "to be or not to be", "to do is to be")
	// Output:
	// 00:00:05 [{to 4} {be 3}]
	// 00:00:10 [{to 4} {be 3}]
}

// AggregateByKey with any type that has a serde.
func ExampleAggregateByKey() {
	type lengths struct{ Words, Letters int }
	b := topology.New()
	lines := topology.Source(b, "lines", serde.String, serde.String)

	five := batch.Every(lines, "lengths", 5*time.Second)
	sums := batch.AggregateByKey(five, "by-line",
		func() lengths { return lengths{} },
		func(l lengths, line string) lengths {
			return lengths{l.Words + len(strings.Fields(line)), l.Letters + len(line)}
		},
		func(a, b lengths) lengths { return lengths{a.Words + b.Words, a.Letters + b.Letters} },
		serde.JSON[lengths]())
	sums.Print(os.Stdout)

	feed(b, "to be", "to be", "or not")
	// Output:
	// -------------------------------------------
	// Time: 2020-01-01 00:00:05
	// -------------------------------------------
	// (or not,{2 6})
	// (to be,{4 10})
	//
	// -------------------------------------------
	// Time: 2020-01-01 00:00:10
	// -------------------------------------------
}

// Transform sees all rows of a batch at once.
func ExampleTransform() {
	b := topology.New()
	lines := topology.Source(b, "lines", serde.String, serde.String)

	counts := batch.CountByValue(batch.Every(lines, "shares", 5*time.Second), "counts")
	shares := batch.Transform(counts, func(_ batch.Batch, rows []batch.Row[string, int64]) (out []batch.Row[string, string]) {
		sum := int64(0)
		for _, r := range rows {
			sum += r.Value
		}
		for _, r := range rows {
			out = append(out, batch.Row[string, string]{Key: r.Key, Value: fmt.Sprintf("%d %%", 100*r.Value/sum)})
		}
		return out
	}, serde.String, serde.String)
	shares.ForEach(func(_ batch.Batch, rows []batch.Row[string, string]) error {
		fmt.Println(rows)
		return nil
	})

	feed(b, "yes", "no", "yes", "yes")
	// Output:
	// [{no 25 %} {yes 75 %}]
	// []
}
