package main

import (
	"cmp"
	"io"
	"strings"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// topics are the topics of the job.
type topics struct {
	tweets, more string // two inputs, read as one stream
	filtered     string // tweets of interest, one by one
	// counts by matched term: per batch, and over the longer time
	terms, termsInWindow string
	broken               string // dead letters
}

func (o options) topics() topics {
	return topics{
		tweets:        o.name,
		more:          o.name + "-more",
		filtered:      o.name + "-filtered",
		terms:         o.name + "-terms",
		termsInWindow: o.name + "-terms-window",
		broken:        o.name + "-broken",
	}
}

func (t topics) inputs() []string { return []string{t.tweets, t.more} }

func (t topics) outputs() []string {
	return []string{t.filtered, t.terms, t.termsInWindow, t.broken}
}

func (t topics) all() []string { return append(t.inputs(), t.outputs()...) }

// job is the topology of the program. It prints to out.
func job(o options, topics topics, out io.Writer) (*topology.Topology, error) {
	b := topology.New()

	tweets := topology.Source(b, topics.tweets, serde.String, serde.JSON[Tweet]())
	more := topology.Source(b, topics.more, serde.String, serde.JSON[Tweet]())
	originals := tweets.Merge(more).Filter(original)

	ofInterest := func(t Tweet) bool { return len(matched(t, o.terms)) > 0 || linksTo(t, o.domains) }
	originals.Filter(ofInterest).To(topics.filtered)

	each := batch.Every(originals, "originals", o.interval)
	inWindow := " in the last " + strings.Replace(o.window.String(), "m0s", "m", 1)

	count := each.Count("tweets")
	count.Print(out, batch.Title("tweets"))
	count.Window(o.window).Print(out, batch.Title("tweets"+inWindow))

	authors := batch.CountByValue(batch.MapValues(each, author, serde.String), "authors")
	authors.SortBy(mostFirst).Print(out, batch.Title("authors"))
	authors.Window(o.window).SortBy(mostFirst).Print(out, batch.Title("authors"+inWindow))
	authors.Top(5).Print(out, batch.Title("top 5 authors"))
	authors.Filter(o.worthShowing).Print(out, batch.Title(o.worthTitle()))

	texts := batch.CountByValue(batch.FlatMapValues(each, words, serde.String), "words")
	texts.SortBy(mostFirst).Print(out, batch.Title("words"))

	found := func(t Tweet) []string { return matched(t, o.terms) }
	terms := batch.CountByValue(batch.FlatMapValues(each, found, serde.String), "terms")
	terms.Print(out, batch.Title("tweets by term"))
	batch.MapRows(terms, readable, serde.JSON[TermCount]()).To(topics.terms)
	batch.MapRows(terms.Window(o.window), readable, serde.JSON[TermCount]()).To(topics.termsInWindow)

	return b.Build()
}

// TermCount is the number of tweets that contain a term. The record's timestamp, and its
// header "batch", are the end of the batch.
type TermCount struct {
	Term  string `json:"term"`
	Count int64  `json:"count"`
}

func readable(r batch.Row[string, int64]) TermCount { return TermCount{Term: r.Key, Count: r.Value} }

// mostFirst orders rows by descending count.
func mostFirst(a, b batch.Row[string, int64]) int { return cmp.Compare(b.Value, a.Value) }

// worthShowing selects authors with more than one tweet, and authors whose name starts
// with the prefix.
func (o options) worthShowing(r batch.Row[string, int64]) bool {
	return r.Value > 1 || o.prefix != "" && strings.HasPrefix(strings.ToLower(r.Key), strings.ToLower(o.prefix))
}

func (o options) worthTitle() string {
	title := "authors with more than one tweet"
	if o.prefix != "" {
		title += ", or who start with " + o.prefix
	}
	return title
}
