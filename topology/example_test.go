package topology_test

import (
	"fmt"
	"strconv"
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

type tweet struct {
	Author string `json:"author"`
	Text   string `json:"text"`
}

func author(t tweet) string { return t.Author }

func start(b *topology.Builder, opts ...topologytest.Option) *topologytest.Driver {
	topo, err := b.Build()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return topologytest.New(t, topo, opts...)
}

func send(d *topologytest.Driver, tweets ...tweet) {
	in := topologytest.Input(d, "tweets", serde.String, serde.JSON[tweet]())
	for i, t := range tweets {
		in.Send(strconv.Itoa(i), t, time.UnixMilli(int64(1000*i)))
	}
}

func printTopic[V any](d *topologytest.Driver, topic string, vs serde.Serde[V]) {
	for _, r := range topologytest.Output(d, topic, serde.String, vs).Records() {
		fmt.Println(topic+":", r.Key, r.Value)
	}
}

// Filter a topic into another one, and count by author.
func Example() {
	b := topology.New()
	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[tweet]())
	topology.MapValues(tweets, func(t tweet) string { return t.Text }, serde.String).
		Filter(func(text string) bool { return strings.Contains(text, "kafka") }).
		To("tweets-filtered")
	topology.GroupBy(tweets, "by-author", author, serde.String).Count("tweets-by-author").Stream().To("counts")

	d := start(b)
	send(d, tweet{"ann", "about kafka"}, tweet{"bob", "about lunch"}, tweet{"ann", "kafka again"})
	printTopic(d, "tweets-filtered", serde.String)
	printTopic(d, "counts", serde.Int64)
	// Output:
	// tweets-filtered: 0 about kafka
	// tweets-filtered: 2 kafka again
	// counts: ann 1
	// counts: bob 1
	// counts: ann 2
}

// A record goes to the first case whose predicate is true.
func ExampleStream_Branch() {
	b := topology.New()
	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[tweet]())
	ways := tweets.Branch("length",
		topology.Case("short", func(t tweet) bool { return len(t.Text) < 8 }),
		topology.Default[tweet]("long"))
	ways[0].To("short")
	ways[1].To("long")

	d := start(b)
	send(d, tweet{"ann", "hello"}, tweet{"ann", "good morning"})
	printTopic(d, "short", serde.JSON[tweet]())
	printTopic(d, "long", serde.JSON[tweet]())
	// Output:
	// short: 0 {ann hello}
	// long: 1 {ann good morning}
}

// An aggregate may have any type. With a nullable serde, nil deletes the row.
func ExampleAggregate() {
	b := topology.New()
	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[tweet]())
	longest := topology.Aggregate(topology.GroupBy(tweets, "by-author", author, serde.String), "longest",
		func() *string { return new(string) },
		func(longest *string, r processor.Record[string, tweet]) *string {
			switch text := r.Value.Text; {
			case text == "forget me":
				return nil
			case len(text) > len(*longest):
				return &text
			}
			return longest
		}, serde.Nullable(serde.String))
	topology.MapValues(longest.Stream(), func(text *string) string {
		if text == nil {
			return "(nothing)"
		}
		return *text
	}, serde.String).To("longest-out")

	d := start(b)
	send(d, tweet{"ann", "hello"}, tweet{"ann", "hello again"}, tweet{"ann", "forget me"}, tweet{"ann", "hi"})
	printTopic(d, "longest-out", serde.String)
	// Output:
	// longest-out: ann hello
	// longest-out: ann hello again
	// longest-out: ann (nothing)
	// longest-out: ann hi
}

// Hopping windows overlap. A record counts in every window that contains its time.
func ExampleHopping() {
	b := topology.New()
	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[tweet]())
	byAuthor := topology.GroupBy(tweets, "by-author", author, serde.String)
	perTwo := byAuthor.Window(topology.Hopping(2*time.Second, time.Second)).Count("tweets-per-2s")
	perTwo.Stream().ForEach(func(r processor.Record[serde.Windowed[string], int64]) error {
		fmt.Println(r.Key, r.Value)
		return nil
	})

	d := start(b)
	send(d, tweet{"ann", "one"}, tweet{"ann", "two"}, tweet{"ann", "three"})
	// Output:
	// [ann@0/2000] 1
	// [ann@0/2000] 2
	// [ann@1000/3000] 1
	// [ann@1000/3000] 2
	// [ann@2000/4000] 1
}

// A sliding window ends at each record or begins just after it. It counts the tweets of
// an author within two seconds.
func ExampleSliding() {
	b := topology.New()
	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[tweet]())
	byAuthor := topology.GroupBy(tweets, "by-author", author, serde.String)
	near := byAuthor.Window(topology.Sliding(2 * time.Second)).Count("near")
	near.Stream().ForEach(func(r processor.Record[serde.Windowed[string], int64]) error {
		fmt.Println(r.Key, r.Value)
		return nil
	})

	d := start(b)
	send(d, tweet{"ann", "one"}, tweet{"ann", "two"}, tweet{"ann", "three"})
	// Output:
	// [ann@0/2000] 1
	// [ann@1/2001] 1
	// [ann@0/2000] 2
	// [ann@1/2001] 2
	// [ann@0/2000] 3
	// [ann@1001/3001] 1
}

// Sessions are periods of activity. If an author writes again within a second, the
// session continues. The key of a row contains the session, so a session that grows
// deletes its old row and adds a new one.
func ExampleGrouped_Sessions() {
	b := topology.New()
	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[tweet]())
	byAuthor := topology.GroupBy(tweets, "by-author", author, serde.String)
	byAuthor.Sessions(time.Second).Count("sessions").Stream().ForEach(func(r processor.Record[serde.Windowed[string], int64]) error {
		if r.NoValue {
			fmt.Println(r.Key, "is gone")
		} else {
			fmt.Println(r.Key, r.Value)
		}
		return nil
	})

	d := start(b)
	send(d, tweet{"ann", "one"}, tweet{"ann", "two"}, tweet{"bob", "hi"}, tweet{"bob", "again"}, tweet{"ann", "three"})
	// Output:
	// [ann@0/0] 1
	// [ann@0/0] is gone
	// [ann@0/1000] 2
	// [bob@2000/2000] 1
	// [bob@2000/2000] is gone
	// [bob@2000/3000] 2
	// [ann@4000/4000] 1
}

var seen = state.KeyValue("seen", serde.String, serde.Int64)

// trend forwards each author with the number of tweets so far, and a mark every minute.
type trend struct {
	seen state.KeyValueStore[string, int64]
}

func (p *trend) Init(ctx processor.Context[string, int64]) error {
	p.seen = state.Open(ctx, seen)
	ctx.Every(time.Minute, processor.WallClock, p.mark)
	return nil
}

func (p *trend) Process(ctx processor.Context[string, int64], r processor.Record[string, tweet]) error {
	n, _, err := p.seen.Get(r.Value.Author)
	if err != nil {
		return err
	}
	ctx.Forward(processor.WithValue(processor.WithKey(r, r.Value.Author), n+1))
	return p.seen.Put(r.Value.Author, n+1)
}

func (p *trend) mark(ctx processor.Context[string, int64], now time.Time) error {
	ctx.Forward(processor.NewRecord("mark", int64(0), processor.TimestampOf(now)))
	return nil
}

// A user-written processor has stores, punctuators, and a context to forward records
// with.
func ExampleProcess() {
	b := topology.New()
	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[tweet]())
	topology.Process(tweets, "trend", func() *trend { return &trend{} }, serde.String, serde.Int64, seen).To("trend-out")

	d := start(b)
	send(d, tweet{"ann", "one"}, tweet{"ann", "two"})
	d.Advance(time.Minute)
	printTopic(d, "trend-out", serde.Int64)
	// Output:
	// trend-out: ann 1
	// trend-out: ann 2
	// trend-out: mark 0
}

// The description has the format of Kafka Streams' Topology.describe().
func ExampleTopology_Describe() {
	b := topology.New()
	words := topology.Source(b, "words", serde.String, serde.String)
	topology.GroupByKey(words, "by-word").Count("counts").Stream().To("counts-out")
	topo, err := b.Build()
	if err != nil {
		t.Fatalf("%v", err)
	}
	fmt.Println(topo.Describe())
	// Output:
	// Topologies:
	//    Sub-topology: 0
	//     Source: words-source (topics: [words])
	//       --> counts
	//     Processor: counts (stores: [counts])
	//       --> counts-stream
	//       <-- words-source
	//     Processor: counts-stream (stores: [])
	//       --> counts-out-sink
	//       <-- counts
	//     Sink: counts-out-sink (topic: counts-out)
	//       <-- counts-stream
}

// Build reports all problems at once, in terms of the calls that built the topology.
func ExampleBuilder_Build() {
	b := topology.New()
	words := topology.Source(b, "words", serde.String, serde.String)
	lengths := topology.MapValues(words, func(s string) int { return len(s) }, nil)
	lengths.To("lengths")
	topology.GroupByKey(words, "by-word").Window(topology.Hopping(time.Second, time.Minute)).Count("counts")
	_, err := b.Build()
	fmt.Println(err)
	// Output:
	// topology: sink "lengths-sink": needs a serde for its values, to write them: pass it to the operator that gives the values their type
	// topology: count "counts": the advance 1m0s is more than the window size 1s, so records between windows would be lost: use a smaller advance
}

// A function only returns its error. The application's error policy decides: dead letter,
// skip or retry.
func ExampleTryMapValues() {
	b := topology.New()
	words := topology.Source(b, "words", serde.String, serde.String)
	topology.TryMapValues(words, strconv.Atoi, serde.JSON[int]()).To("numbers")

	d := start(b, topologytest.ErrorPolicy(processor.ErrorPolicy{Process: processor.Skip}))
	in := topologytest.Input(d, "words", serde.String, serde.String)
	for _, word := range []string{"1", "two", "3"} {
		in.Send("k", word, time.UnixMilli(0))
	}
	printTopic(d, "numbers", serde.JSON[int]())
	// Output:
	// numbers: k 1
	// numbers: k 3
}
