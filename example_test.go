package millrace_test

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

type Tweet struct {
	Author    string
	Text      string
	Retweeted *Tweet
}

func Author(t Tweet) string { return t.Author }

func mentions(words ...string) func(Tweet) bool {
	return func(t Tweet) bool {
		for _, word := range words {
			if strings.Contains(strings.ToLower(t.Text), word) {
				return true
			}
		}
		return false
	}
}

// Tweets that mention a word go to another topic. Counts and top authors are printed
// every five seconds, and tweets are counted by author in windows of a minute. The test
// driver runs the topology.
func Example() {
	b := topology.New()

	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[Tweet]())
	originals := tweets.Filter(func(t Tweet) bool { return t.Retweeted == nil })
	originals.Filter(mentions("oracle", "rmoff")).To("tweets-filtered")

	five := batch.Every(originals, "originals", 5*time.Second)
	five.Count("tweets").Print(os.Stdout)

	authors := batch.CountByValue(batch.MapValues(five, Author, serde.String), "authors")
	authors.Top(5).Print(os.Stdout)                     // this batch
	authors.Window(time.Minute).Top(5).Print(os.Stdout) // the last minute, every batch

	byAuthor := topology.GroupBy(originals, "by-author", Author, serde.String)
	perMinute := byAuthor.Window(topology.Hopping(time.Minute, 5*time.Second)).Count("tweets-per-minute")
	perMinute.Stream().To("tweets-per-minute-out")

	t, err := b.Build()
	if err != nil {
		fmt.Println(err) // all problems at once, in the words of the topology
		return
	}

	start := time.UnixMilli(1_700_000_000_000)
	d := topologytest.New(topologytest.ForExample(), t, topologytest.Start(start), topologytest.Partitions("tweets", 4))
	in := topologytest.Input(d, "tweets", serde.String, serde.JSON[Tweet]())
	in.Send("1", Tweet{Author: "rmoff", Text: "Kafka and Oracle"}, start)
	in.Send("2", Tweet{Author: "ann", Text: "good morning"}, start)
	in.Send("3", Tweet{Author: "rmoff", Text: "good night"}, start)
	in.Send("4", Tweet{Author: "bob", Text: "Kafka and Oracle", Retweeted: &Tweet{}}, start)
	d.Advance(6 * time.Second)

	for _, r := range topologytest.Output(d, "tweets-filtered", serde.String, serde.JSON[Tweet]()).Records() {
		fmt.Println("filtered:", r.Key, r.Value.Text)
	}
	// Output:
	// -------------------------------------------
	// Time: 2023-11-14 22:13:25
	// -------------------------------------------
	// 3
	//
	// -------------------------------------------
	// Time: 2023-11-14 22:13:25
	// -------------------------------------------
	// (rmoff,2)
	// (ann,1)
	//
	// -------------------------------------------
	// Time: 2023-11-14 22:13:25
	// -------------------------------------------
	// (rmoff,2)
	// (ann,1)
	//
	// filtered: 1 Kafka and Oracle
}
