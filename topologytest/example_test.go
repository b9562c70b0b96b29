package topologytest_test

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// t stands for the *testing.T, which an example does not have.
var t = topologytest.ForExample()

// The topology is built as for production, and run record by record.
func Example() {
	b := topology.New()
	tweets := topology.Source(b, "tweets", serde.String, serde.String)
	tweets.Filter(func(text string) bool { return strings.Contains(text, "kafka") }).To("tweets-filtered")
	topo, err := b.Build()
	if err != nil {
		t.Fatalf("%v", err)
	}

	d := topologytest.New(t, topo, topologytest.Partitions("tweets", 4))
	in := topologytest.Input(d, "tweets", serde.String, serde.String)
	out := topologytest.Output(d, "tweets-filtered", serde.String, serde.String)

	in.Send("1", "kafka is a log", time.UnixMilli(1000))
	in.Send("2", "good morning", time.UnixMilli(2000))
	for _, r := range out.Records() {
		fmt.Println(r.Key, r.Value, r.Timestamp)
	}
	// Output: 1 kafka is a log 1970-01-01T00:00:01.000Z
}

func counting() *topology.Topology {
	b := topology.New()
	words := topology.Source(b, "words", serde.String, serde.String)
	topology.GroupByKey(words, "by-word").Count("counts").Stream().To("counts-out")
	topo, err := b.Build()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return topo
}

// A crash loses neither a record nor a count, whatever is left of the disk.
func ExampleDriver_Crash() {
	d := topologytest.New(t, counting())
	in := topologytest.Input(d, "words", serde.String, serde.String)
	out := topologytest.Output(d, "counts-out", serde.String, serde.Int64)

	in.Send("a", "", time.UnixMilli(0))
	d.Crash("counts", 0)
	in.Send("a", "", time.UnixMilli(0))
	d.Crash("counts", 0, topologytest.LoseDisk)
	in.Send("a", "", time.UnixMilli(0))
	for _, r := range out.Records() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// a 1
	// a 2
	// a 3
}

// With a commit interval, outputs become visible when the clock has reached it. Updates
// of a table in between are merged.
func ExampleCommitInterval() {
	d := topologytest.New(t, counting(), topologytest.CommitInterval(100*time.Millisecond))
	in := topologytest.Input(d, "words", serde.String, serde.String)
	out := topologytest.Output(d, "counts-out", serde.String, serde.Int64)

	in.Send("a", "", time.UnixMilli(0))
	in.Send("a", "", time.UnixMilli(0))
	fmt.Println(len(out.Records()), "before the commit")
	d.Advance(100 * time.Millisecond)
	for _, r := range out.Records() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// 0 before the commit
	// a 2
}

type refusing struct{}

func (refusing) Init(processor.Context[string, string]) error {
	return errors.New("no address of the service")
}

func (refusing) Process(processor.Context[string, string], processor.Record[string, string]) error {
	return nil
}

// A test may expect an error of Init.
func ExampleTryNew() {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	topology.Process(in, "call", func() *refusing { return &refusing{} }, serde.String, serde.String)
	topo, err := b.Build()
	if err != nil {
		t.Fatalf("%v", err)
	}

	_, err = topologytest.TryNew(t, topo)
	fmt.Println(err)
	// Output: task 0_0: node call: method Init: no address of the service
}

// A test declares the topics that a function of the topology chooses.
func ExampleTopics() {
	b := topology.New()
	orders := topology.Source(b, "orders", serde.String, serde.String)
	orders.ToTopic(func(r processor.Record[string, string]) string { return "orders-" + r.Key })
	topo, err := b.Build()
	if err != nil {
		t.Fatalf("%v", err)
	}

	d := topologytest.New(t, topo, topologytest.Topics("orders-de", "orders-fr"))
	topologytest.Input(d, "orders", serde.String, serde.String).Send("de", "tea", time.UnixMilli(0))
	fmt.Println(len(d.Topic("orders-de")), len(d.Topic("orders-fr")))
	// Output: 1 0
}

// An expected failure happens inside Try.
func ExampleDriver_Try() {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	in.ForEach(func(processor.Record[string, string]) error { return errors.New("no service") }, topology.Named("call"))
	topo, err := b.Build()
	if err != nil {
		t.Fatalf("%v", err)
	}

	d := topologytest.New(t, topo)
	fmt.Println(d.Try(func() {
		topologytest.Input(d, "in", serde.String, serde.String).Send("k", "v", time.UnixMilli(0))
	}))
	// Output: node call: process: record in/0@0: no service
}

// A scenario is text: records go in, records and rows come out. Play fills in what
// happens. Script.Run does so with a file, and fails the test if the file says something
// else.
func ExampleScript() {
	script := topologytest.Script{
		Topologies: map[string]func(b *topology.Builder){"count": func(b *topology.Builder) {
			clicks := topology.Source(b, "clicks", serde.String, serde.String)
			topology.GroupByKey(clicks, "by-key").Count("count").Stream().To("counts")
		}},
		Formats: []topologytest.Format{
			topologytest.Text("clicks", serde.String, serde.String),
			topologytest.Text("counts", serde.String, serde.Int64),
			topologytest.Rows("count", func(d *topologytest.Driver, p int32) iter.Seq2[state.Entry[string, int64], error] {
				return topologytest.Store[state.KeyValueStore[string, int64]](d, "count", p).All()
			}),
		},
	}
	fmt.Print(script.Play(t, `== Counts survive a lost disk
topology count
clicks @1s ann=/home
crash lose
clicks @3s ann=/shop
clicks @4s =/nobody
rows count
`))
	// Output:
	// == Counts survive a lost disk
	// topology count
	// clicks @1s ann=/home
	//   counts @1s ann=1
	// crash lose
	// clicks @3s ann=/shop
	//   counts @3s ann=2
	// clicks @4s =/nobody
	//   dropped 1: null key
	// rows count
	//   ann=2 @3s
}
