package sample_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/examples/tweets/sample"
)

type tweet struct {
	ID        int64  `json:"id"`
	IDStr     string `json:"id_str"`
	Text      string `json:"text"`
	CreatedAt string `json:"created_at"`
	Lang      string `json:"lang"`
	User      struct {
		ID             int64  `json:"id"`
		ScreenName     string `json:"screen_name"`
		Name           string `json:"name"`
		FollowersCount int    `json:"followers_count"`
	} `json:"user"`
	Retweeted *tweet `json:"retweeted_status"`
	Entities  struct {
		URLs         []link    `json:"urls"`
		Hashtags     []hashtag `json:"hashtags"`
		UserMentions []mention `json:"user_mentions"`
	} `json:"entities"`
}

type link struct {
	URL         string `json:"url"`
	ExpandedURL string `json:"expanded_url"`
	DisplayURL  string `json:"display_url"`
	Indices     [2]int `json:"indices"`
}

type hashtag struct {
	Text    string `json:"text"`
	Indices [2]int `json:"indices"`
}

type mention struct {
	ScreenName string `json:"screen_name"`
	Indices    [2]int `json:"indices"`
}

// decoded returns the tweets that decode, in order.
func decoded() []tweet {
	var all []tweet
	for line := range sample.Lines() {
		var t tweet
		if json.Unmarshal(line, &t) == nil {
			all = append(all, t)
		}
	}
	return all
}

func TestCount(t *testing.T) {
	t.Parallel()
	lines := 0
	for line := range sample.Lines() {
		lines++
		if len(line) == 0 || bytes.ContainsAny(line, "\r\n") {
			t.Errorf("line %d is empty or has a line end inside: %q", lines, line)
		}
	}
	if lines != sample.Count {
		t.Errorf("Lines yields %d lines, Count is %d", lines, sample.Count)
	}
	if lines < 5000 {
		t.Errorf("%d lines, want at least 5000", lines)
	}
}

func TestLinesBelongToTheCaller(t *testing.T) {
	t.Parallel()
	var kept, copies [][]byte
	for line := range sample.Lines() {
		kept, copies = append(kept, line), append(copies, bytes.Clone(line))
		_ = append(line, "overwritten, if the next line followed in the same array"...)
		if len(kept) == 100 {
			break
		}
	}
	for i := range kept {
		if !bytes.Equal(kept[i], copies[i]) {
			t.Fatalf("line %d changed after it was yielded", i+1)
		}
	}
	for line := range sample.Lines() {
		if !bytes.Equal(line, kept[0]) {
			t.Error("a second loop starts with another line")
		}
		break
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	all := decoded()
	var retweets, links int
	languages := map[string]int{}
	terms := map[string]int{}
	for _, tw := range all {
		if tw.Retweeted != nil {
			retweets++
		}
		if len(tw.Entities.URLs) > 0 {
			links++
		}
		languages[tw.Lang]++
		for _, term := range []string{"oracle", "kafka", "java", "golang", "rmoff"} {
			if strings.Contains(strings.ToLower(tw.Text), term) {
				terms[term]++
			}
		}
	}
	within := func(what string, n, of int, low, high float64) {
		t.Helper()
		if share := float64(n) / float64(of); share < low || share > high {
			t.Errorf("%s: %.4f, want %.4f to %.4f", what, share, low, high)
		}
	}
	within("broken", sample.Count-len(all), sample.Count, 0.003, 0.008)
	within("retweets", retweets, len(all), 0.27, 0.33)
	within("links", links, len(all), 0.30, 0.45)
	for lang, low := range map[string]float64{
		"en": 0.40, "ja": 0.10, "es": 0.09, "pt": 0.05, "ar": 0.03, "de": 0.02, "fr": 0.02, "ko": 0.015, "it": 0.01, "tr": 0.01, "und": 0.01,
	} {
		within("language "+lang, languages[lang], len(all), low, low+0.10)
	}
	for _, term := range []string{"oracle", "kafka", "java", "golang", "rmoff"} {
		within("term "+term, terms[term], len(all), 0.01, 0.10)
	}
}

// TestTime checks that created_at follows the order of the lines, apart from late tweets,
// over about 20 minutes.
func TestTime(t *testing.T) {
	t.Parallel()
	all := decoded()
	var first, last time.Time
	behind, prev := 0, time.Time{}
	for _, tw := range all {
		at, err := time.Parse(time.RubyDate, tw.CreatedAt)
		if err != nil {
			t.Fatalf("tweet %d: %v", tw.ID, err)
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if at.Before(last.Add(-10 * time.Second)) {
			t.Errorf("tweet %d is more than 10 s behind an earlier line", tw.ID)
		}
		if at.After(last) {
			last = at
		}
		if at.Before(prev) {
			behind++
		}
		prev = at
	}
	if span := last.Sub(first); span < 18*time.Minute || span > 22*time.Minute {
		t.Errorf("the tweets span %v, want about 20 minutes", span)
	}
	if behind == 0 || behind > len(all)/10 {
		t.Errorf("%d of %d tweets are out of order, want some, but less than a tenth", behind, len(all))
	}
}

// TestTweets checks each tweet, and its place among the others.
func TestTweets(t *testing.T) {
	t.Parallel()
	seen := map[int64]bool{}
	for _, tw := range decoded() {
		if seen[tw.ID] {
			t.Errorf("tweet %d occurs twice", tw.ID)
		}
		seen[tw.ID] = true
		checkTweet(t, tw)
		if of := tw.Retweeted; of != nil {
			checkTweet(t, *of)
			if of.ID >= tw.ID || of.Retweeted != nil || !strings.HasPrefix(tw.Text, "RT @"+of.User.ScreenName+": ") {
				t.Errorf("tweet %d is not a proper retweet of %d: %q", tw.ID, of.ID, tw.Text)
			}
		}
	}
}

func checkTweet(t *testing.T, tw tweet) {
	t.Helper()
	if tw.IDStr != fmt.Sprint(tw.ID) || tw.User.ID == 0 || tw.User.ScreenName == "" || tw.User.Name == "" || tw.Text == "" {
		t.Errorf("tweet %d lacks something: %+v", tw.ID, tw)
	}
	text := []rune(tw.Text)
	if len(text) > 280 {
		t.Errorf("tweet %d has %d characters: %q", tw.ID, len(text), tw.Text)
	}
	at := func(indices [2]int, want string) {
		t.Helper()
		if got := string(text[indices[0]:indices[1]]); got != want {
			t.Errorf("tweet %d: entity %q stands at %v, where the text is %q", tw.ID, want, indices, got)
		}
	}
	for _, u := range tw.Entities.URLs {
		at(u.Indices, u.URL)
		if !strings.HasPrefix(u.ExpandedURL, "https://") || strings.ContainsAny(u.ExpandedURL, "{} ") || u.DisplayURL == "" {
			t.Errorf("tweet %d: bad link %+v", tw.ID, u)
		}
	}
	for _, h := range tw.Entities.Hashtags {
		at(h.Indices, "#"+h.Text)
	}
	for _, m := range tw.Entities.UserMentions {
		at(m.Indices, "@"+m.ScreenName)
	}
}

// TestVariety checks that the counts of authors, words and domains resemble those of real
// tweets: a few large ones and a long tail.
func TestVariety(t *testing.T) {
	t.Parallel()
	authors, words, domains, texts := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	originals := 0
	for _, tw := range decoded() {
		for _, u := range tw.Entities.URLs {
			domains[strings.Split(u.ExpandedURL, "/")[2]]++
		}
		if tw.Retweeted != nil {
			continue
		}
		originals++
		authors[tw.User.ScreenName]++
		texts[tw.Text]++
		for word := range strings.FieldsSeq(tw.Text) {
			words[strings.ToLower(word)]++
		}
	}
	atLeast := func(what string, n, want int) {
		t.Helper()
		if n < want {
			t.Errorf("%s: %d, want at least %d", what, n, want)
		}
	}
	atLeast("authors", len(authors), 800)
	atLeast("words", len(words), 4000)
	atLeast("domains", len(domains), 60)
	atLeast("texts", len(texts), originals*95/100)
	atLeast("tweets of rmoff", authors["rmoff"], 50)
	for _, domain := range []string{"github.com", "www.youtube.com", "www.confluent.io", "www.oracle.com"} {
		atLeast("links to "+domain, domains[domain], 30)
	}
	for author, n := range authors {
		if n > originals/20 {
			t.Errorf("%s wrote %d of %d tweets, want no more than a twentieth", author, n, originals)
		}
	}
}

func ExampleLines() {
	type tweet struct {
		User struct {
			ScreenName string `json:"screen_name"`
		} `json:"user"`
		Text string `json:"text"`
	}
	shown := 0
	for line := range sample.Lines() {
		var t tweet
		if json.Unmarshal(line, &t) != nil {
			continue // some lines are broken on purpose
		}
		if t.User.ScreenName != "kafka_tip_bot" || !strings.HasPrefix(t.Text, "Kafka") {
			continue
		}
		fmt.Println(t.Text)
		if shown++; shown == 2 {
			break
		}
	}
	// Output:
	// Kafka tip: commit after you process, not before 🌧️ https://t.co/Yfkn67sS6M
	// Kafka tip: name your disk before somebody else does. Anyway.
}

func BenchmarkLines(b *testing.B) {
	for b.Loop() {
		size := 0
		for line := range sample.Lines() {
			size += len(line) + 1
		}
		b.SetBytes(int64(size))
	}
}
