package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/examples/tweets/sample"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/topologytest"
)

// naive computes the results of the job without Millrace. It looks at one line at a time
// and keeps everything.
type naive struct {
	o        options
	tweets   []Tweet // originals of the batch
	filtered []int64 // IDs
	broken   []string
}

// add adds a line.
func (n *naive) add(line []byte) {
	var fields map[string]any
	var tweet Tweet
	if json.Unmarshal(line, &fields) != nil || json.Unmarshal(line, &tweet) != nil {
		n.broken = append(n.broken, string(line))
		return
	}
	if fields["retweeted_status"] != nil {
		return
	}
	n.tweets = append(n.tweets, tweet)
	if len(matched(tweet, n.o.terms)) > 0 || linksTo(tweet, n.o.domains) {
		n.filtered = append(n.filtered, tweet.ID)
	}
}

func countAll(tweets []Tweet, of func(Tweet) []string) map[string]int {
	counts := make(map[string]int)
	for _, tweet := range tweets {
		for _, value := range of(tweet) {
			counts[value]++
		}
	}
	return counts
}

func authorOf(t Tweet) []string { return []string{t.User.ScreenName} }

func (n *naive) termsOf(t Tweet) []string { return matched(t, n.o.terms) }

// blockOf formats a batch as it is printed: at most ten rows.
func blockOf(end time.Time, title string, rows []string) string {
	const rule = "-------------------------------------------\n"
	text := rule + "Time: " + end.Local().Format("2006-01-02 15:04:05.999") + "  " + title + "\n" + rule
	for i, row := range rows {
		if i == 10 {
			text += "...\n"
			break
		}
		text += row + "\n"
	}
	return text + "\n"
}

// rowsOf formats counts as they are printed, ordered by name or by count.
func rowsOf(counts map[string]int, byCount bool) (rows []string) {
	names := slices.Sorted(maps.Keys(counts))
	if byCount {
		slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	}
	for _, name := range names {
		rows = append(rows, fmt.Sprintf("(%s,%d)", name, counts[name]))
	}
	return rows
}

// print returns what the job prints for a batch. inWindow are the tweets of the window.
func (n *naive) print(end time.Time, tweets, inWindow []Tweet) string {
	authors := countAll(tweets, authorOf)
	top := rowsOf(authors, true)
	worth := maps.Clone(authors)
	maps.DeleteFunc(worth, func(name string, count int) bool { return count == 1 && strings.ToUpper(name[:1]) != "R" })
	return blockOf(end, "tweets", []string{strconv.Itoa(len(tweets))}) +
		blockOf(end, "tweets in the last 1m", []string{strconv.Itoa(len(inWindow))}) +
		blockOf(end, "authors", top) +
		blockOf(end, "authors in the last 1m", rowsOf(countAll(inWindow, authorOf), true)) +
		blockOf(end, "top 5 authors", top[:min(5, len(top))]) +
		blockOf(end, "authors with more than one tweet, or who start with r", rowsOf(worth, false)) +
		blockOf(end, "words", rowsOf(countAll(tweets, words), true)) +
		blockOf(end, "tweets by term", rowsOf(countAll(tweets, n.termsOf), false))
}

// TestJob: over several partitions of two topics, the printed and written results equal
// those of naive for the same tweets.
func TestJob(t *testing.T) {
	t.Parallel()
	o, err := parse(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	topics := o.topics()
	var out bytes.Buffer
	topo, err := job(o, topics, &out)
	if err != nil {
		t.Fatal(err)
	}
	d := topologytest.New(t, topo,
		topologytest.Partitions(topics.tweets, 3), topologytest.Partitions(topics.more, 2), topologytest.Workers(2),
		topologytest.CommitInterval(100*time.Millisecond),
		topologytest.ErrorPolicy(processor.ErrorPolicy{Decode: processor.DeadLetter, DeadLetterTopic: topics.broken}))

	lines := slices.Collect(sample.Lines())
	n := &naive{o: o}
	terms, inWindow := make(map[string]int), make(map[string]int) // by end and term
	var batches [][]Tweet
	var want string
	for number := range 15 { // the window is 12 batches
		n.tweets = nil
		for i := range 150 {
			if number == 4 {
				break // a batch without tweets
			}
			line := lines[number*150+i]
			n.add(line)
			d.Send(topics.inputs()[i%2], int32(i/2%2), nil, line, processor.TimestampOf(d.Now()))
			d.Advance(20 * time.Millisecond)
		}
		batches = append(batches, n.tweets)
		window := slices.Concat(batches[max(0, len(batches)-12):]...)
		end := d.Now().Truncate(o.interval).Add(o.interval)
		d.Advance(end.Sub(d.Now()))
		want += n.print(end, n.tweets, window)
		for term, count := range countAll(n.tweets, n.termsOf) {
			terms[fmt.Sprint(end.UnixMilli(), " ", term)] = count
		}
		for term, count := range countAll(window, n.termsOf) {
			inWindow[fmt.Sprint(end.UnixMilli(), " ", term)] = count
		}
		if number == 7 {
			d.CrashAll()
		}
	}
	d.Advance(time.Second)

	if got := out.String(); got != want {
		t.Errorf("printed\n%s\nwant\n%s", firstDifference(got, want), firstDifference(want, got))
	}
	checkRows(t, topics.terms, d.Topic(topics.terms), terms)
	checkRows(t, topics.termsInWindow, d.Topic(topics.termsInWindow), inWindow)
	if got := ids(t, values(d.Topic(topics.filtered))); !slices.Equal(got, slices.Sorted(slices.Values(n.filtered))) {
		t.Errorf("%d tweets are in %s, want %d", len(got), topics.filtered, len(n.filtered))
	}
	if got := values(d.Topic(topics.broken)); !slices.Equal(got, slices.Sorted(slices.Values(n.broken))) || len(got) == 0 {
		t.Errorf("%d tweets are in %s, want %d", len(got), topics.broken, len(n.broken))
	}
}

// firstDifference returns some lines of a around the first one that differs from b.
func firstDifference(a, b string) string {
	lines, others := strings.SplitAfter(a, "\n"), strings.SplitAfter(b, "\n")
	for i := range lines {
		if i >= len(others) || lines[i] != others[i] {
			return strings.Join(lines[max(0, i-5):min(len(lines), i+15)], "")
		}
	}
	return "(nothing)"
}

// checkRows checks that a topic has each count once, with its batch and term.
func checkRows(t *testing.T, topic string, records []topologytest.Record, want map[string]int) {
	t.Helper()
	got := make(map[string]int)
	for _, r := range records {
		end, _ := r.Headers.Get(batch.HeaderBatch)
		row := fmt.Sprint(string(end), " ", string(r.Key))
		if _, twice := got[row]; twice {
			t.Errorf("%s has %s twice", topic, row)
		}
		got[row] = count(t, r.Key, r.Value)
	}
	if !maps.Equal(got, want) || len(got) == 0 {
		t.Errorf("%s has\n%v\nwant\n%v", topic, got, want)
	}
}

// ids returns the IDs of tweets, sorted.
func ids(t *testing.T, values []string) (all []int64) {
	t.Helper()
	for _, value := range values {
		var tweet Tweet
		if err := json.Unmarshal([]byte(value), &tweet); err != nil {
			t.Fatal(err)
		}
		all = append(all, tweet.ID)
	}
	slices.Sort(all)
	return all
}

// values returns the values of a topic, sorted.
func values(records []topologytest.Record) (all []string) {
	for _, r := range records {
		all = append(all, string(r.Value))
	}
	slices.Sort(all)
	return all
}

// TestJobLeavesOut: records that contain no tweet are not counted.
func TestJobLeavesOut(t *testing.T) {
	t.Parallel()
	o := options{name: "x", interval: time.Second, window: time.Second}
	var out bytes.Buffer
	topo, err := job(o, o.topics(), &out)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 11, 29, 2, 51, 29, 0, time.UTC)
	d := topologytest.New(t, topo, topologytest.Start(start))
	for _, value := range []string{`null`, `{}`, `{"delete":{"status":{"id":1}}}`, `{"id":2,"retweeted_status":{"id":1}}`, `{"id":3}`} {
		d.Send("x-more", 0, nil, []byte(value), 0)
	}
	d.Send("x", 0, nil, nil, 0)
	d.Advance(time.Second)
	want := blockOf(start.Add(time.Second), "tweets", []string{"1"})
	if got := out.String(); !strings.HasPrefix(got, want) {
		t.Errorf("printed\n%s\nwant it to begin with\n%s", got, want)
	}
}
