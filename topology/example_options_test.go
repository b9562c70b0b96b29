package topology_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// Options of a source say where a new group starts, where to continue if Kafka has
// deleted the next records, and what the time of a record is.
func ExampleTimestampFrom() {
	b := topology.New()
	topology.Source(b, "events", serde.String, serde.Int64,
		topology.StartAtLatest(),
		topology.OutOfRangeEarliest(),
		topology.TimestampFrom(func(r processor.Record[string, int64], partitionTime processor.Timestamp) (processor.Timestamp, error) {
			return processor.Timestamp(r.Value), nil // the event time in milliseconds
		})).To("events-out")

	d := start(b)
	topologytest.Input(d, "events", serde.String, serde.Int64).Send("k", 1500, time.UnixMilli(0))
	for _, r := range topologytest.Output(d, "events-out", serde.String, serde.Int64).Records() {
		fmt.Println(r.Key, r.Timestamp)
	}
	// Output: k 1970-01-01T00:00:01.500Z
}

// A source by pattern reads all topics whose whole name matches, also those that are
// created while the application runs.
func ExampleSourcePattern() {
	b := topology.New()
	orders := topology.SourcePattern(b, "orders", `orders-[a-z]+`, serde.String, serde.String)
	topology.GroupByKey(orders, "by-customer").Count("orders-by-customer").Stream().To("counts")

	d := start(b)
	topologytest.Input(d, "orders-eu", serde.String, serde.String).Send("ann", "tea", time.UnixMilli(0))
	topologytest.Input(d, "orders-us", serde.String, serde.String).Send("ann", "cup", time.UnixMilli(1))
	for _, r := range topologytest.Output(d, "counts", serde.String, serde.Int64).Records() {
		fmt.Println(r.Key, r.Value)
	}
	// Output:
	// ann 1
	// ann 2
}

// After SelectKey records with equal keys may be in different tasks. Repartition brings
// them together.
func ExampleRepartition() {
	b := topology.New()
	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[tweet]())
	byAuthor := topology.SelectKey(tweets, func(r processor.Record[string, tweet]) string { return r.Value.Author }, serde.String)
	topology.Repartition(byAuthor, "by-author", topology.Partitions(3)).To("tweets-by-author")

	d := start(b, topologytest.Partitions("tweets", 4))
	send(d, tweet{"ann", "one"}, tweet{"bob", "two"}, tweet{"ann", "three"})
	for _, r := range d.Topic("test-by-author-repartition") {
		fmt.Printf("partition %d: %s\n", r.Partition, r.Key)
	}
	// Output:
	// partition 2: ann
	// partition 0: bob
	// partition 2: ann
}

// All operators behind one Repartition share its topic: here an aggregation, another one,
// and a table. Each record is sent once.
func ExampleRepartition_shared() {
	b := topology.New()
	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[tweet]())
	author := func(r processor.Record[string, tweet]) string { return r.Value.Author }
	byAuthor := topology.Repartition(topology.SelectKey(tweets, author, serde.String), "by-author")

	topology.GroupByKey(byAuthor, "tweets-of-author").Count("counts")
	longest := func(a, b tweet) tweet {
		if len(b.Text) > len(a.Text) {
			return b
		}
		return a
	}
	topology.GroupByKey(byAuthor, "texts-of-author").Reduce("longest", longest)
	byAuthor.ToTable("newest")

	d := start(b)
	send(d, tweet{"ann", "one"}, tweet{"ann", "three"}, tweet{"ann", "two"})
	for _, topic := range d.Topics() {
		if strings.HasSuffix(topic, "-repartition") {
			fmt.Println(topic, len(d.Topic(topic)))
		}
	}
	// Output: test-by-author-repartition 3
}

// A partitioner chooses the partitions of a record. If it returns nil, Kafka's default
// partitioner chooses.
func ExamplePartitioner() {
	b := topology.New()
	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[tweet]())
	tweets.To("tweets-out", topology.Partitioner(func(r processor.Record[string, tweet], n int32) []int32 {
		if r.Value.Author == "ann" {
			return []int32{n - 1}
		}
		return nil
	}))

	d := start(b, topologytest.Partitions("tweets-out", 3))
	send(d, tweet{"ann", "one"}, tweet{"ann", "two"})
	for _, r := range d.Topic("tweets-out") {
		fmt.Printf("partition %d: %s\n", r.Partition, r.Value)
	}
	// Output:
	// partition 2: {"author":"ann","text":"one"}
	// partition 2: {"author":"ann","text":"two"}
}

// Reduce combines values of one type.
func ExampleGrouped_Reduce() {
	b := topology.New()
	prices := topology.Source(b, "prices", serde.String, serde.Int64)
	highest := topology.GroupByKey(prices, "by-item").Reduce("highest", func(a, b int64) int64 { return max(a, b) })
	highest.Stream().To("highest-out")

	d := start(b)
	in := topologytest.Input(d, "prices", serde.String, serde.Int64)
	for i, price := range []int64{5, 9, 7} {
		in.Send("tea", price, time.UnixMilli(int64(i)))
	}
	printTopic(d, "highest-out", serde.Int64)
	// Output:
	// highest-out: tea 5
	// highest-out: tea 9
	// highest-out: tea 9
}

// The bytes of each host are added up before they are sent to the repartition topic. The
// result is the same as without Combine.
func ExampleCombine() {
	type traffic struct {
		Host  string
		Bytes int64
	}
	add := func(a, b traffic) traffic { return traffic{a.Host, a.Bytes + b.Bytes} }
	hostOf := func(t traffic) string { return t.Host }

	b := topology.New()
	requests := topology.Source(b, "requests", serde.String, serde.JSON[traffic]())
	byHost := topology.GroupBy(requests, "by-host", hostOf, serde.String)
	byHost.Reduce("traffic", add, topology.Combine(add)).Stream().To("traffic-out")

	d := start(b, topologytest.CommitInterval(time.Second))
	in := topologytest.Input(d, "requests", serde.String, serde.JSON[traffic]())
	for i, user := range []string{"ann", "bob", "ann"} {
		in.Send(user, traffic{"example.org", int64(100 * (i + 1))}, time.UnixMilli(int64(i)))
	}
	d.Commit()
	printTopic(d, "traffic-out", serde.JSON[traffic]())
	// Output:
	// traffic-out: example.org {example.org 600}
}

// The updates of a row between two commits are forwarded as one. With EveryUpdate, each
// is forwarded.
func ExampleEveryUpdate() {
	b := topology.New()
	words := topology.GroupByKey(topology.Source(b, "words", serde.String, serde.String), "by-word")
	words.Count("merged").Stream().To("merged-out")
	words.Count("each", topology.EveryUpdate()).Stream().To("each-out")

	d := start(b, topologytest.CommitInterval(time.Second))
	in := topologytest.Input(d, "words", serde.String, serde.String)
	for i := range 3 {
		in.Send("kafka", strconv.Itoa(i), time.UnixMilli(0))
	}
	d.Commit()
	printTopic(d, "merged-out", serde.Int64)
	printTopic(d, "each-out", serde.Int64)
	// Output:
	// merged-out: kafka 3
	// each-out: kafka 1
	// each-out: kafka 2
	// each-out: kafka 3
}
