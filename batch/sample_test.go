package batch_test

import (
	"io"
	"time"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

type tweet struct {
	Author    string
	Retweeted *tweet
}

func author(t tweet) string { return t.Author }

// tweets is the example of the design, word for word.
func tweets(b *topology.Builder, stdout io.Writer) {
	tweets := topology.Source(b, "tweets", serde.String, serde.JSON[tweet]())
	originals := tweets.Filter(func(t tweet) bool { return t.Retweeted == nil })

	five := batch.Every(originals, "originals", 5*time.Second)
	five.Count("tweets").Print(stdout)

	authors := batch.CountByValue(batch.MapValues(five, author, serde.String), "authors")
	authors.Top(5).Print(stdout)                     // this batch
	authors.Window(time.Minute).Top(5).Print(stdout) // the last minute, every batch
}
