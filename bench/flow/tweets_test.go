package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// The tweets are like those of the Spark job: in size, and in what the job does with
// them.
func TestTweetsAreLikeThoseOfTheSparkJob(t *testing.T) {
	t.Parallel()
	const n = 10_000
	g := newGenerator()
	size, retweets, found := 0, 0, 0
	authors, words := map[string]bool{}, map[string]bool{}
	for range n {
		data := g.next()
		var tweet struct {
			ID   int64
			Text string
			User struct {
				ScreenName string `json:"screen_name"`
			}
			Retweeted *struct{ ID int64 } `json:"retweeted_status"`
		}
		if err := json.Unmarshal(data, &tweet); err != nil || tweet.ID == 0 || tweet.User.ScreenName == "" {
			t.Fatalf("%s: %v", data, err)
		}
		size += len(data)
		authors[tweet.User.ScreenName] = true
		for word := range strings.FieldsSeq(tweet.Text) {
			words[word] = true
		}
		if tweet.Retweeted != nil {
			retweets++
		}
		if strings.Contains(tweet.Text, "oracle") {
			found++
		}
	}
	for what, c := range map[string]struct{ got, least, most int }{
		"bytes":              {size / n, 800, 910},
		"retweets":           {retweets, n * 28 / 100, n * 32 / 100},
		"tweets of interest": {found, n * 7 / 1000, n * 13 / 1000},
		"authors":            {len(authors), 1500, vocabulary},
		"words":              {len(words), 3000, vocabulary + 1},
	} {
		if c.got < c.least || c.got > c.most {
			t.Errorf("%s: %d, want %d to %d", what, c.got, c.least, c.most)
		}
	}
}
