package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// generator makes tweets like those of the bench's Spark job: 5,000 authors and 5,000
// words, of which some are frequent, 10 to 14 words in a tweet, 30 % retweets, and 1 %
// with a term of interest. The tweets are the same in each run.
type generator struct {
	random  *rand.Rand
	authors *rand.Zipf
	words   *rand.Zipf
	n       int64
}

const vocabulary = 5000

func newGenerator() *generator {
	r := rand.New(rand.NewPCG(1, 1))
	return &generator{random: r, authors: rand.NewZipf(r, 1.1, 10, vocabulary-1), words: rand.NewZipf(r, 1.1, 5, vocabulary-1)}
}

// next returns the next tweet as JSON.
func (g *generator) next() []byte {
	g.n++
	const firstID = 812_000_000_000_000_000
	at := time.Unix(1_482_500_000, 0).UTC().Add(time.Duration(g.n) * 10 * time.Millisecond)
	author, id := g.authors.Uint64(), firstID+g.n
	text := g.text(10 + g.random.IntN(5))
	tweet := map[string]any{
		"id": id, "id_str": fmt.Sprint(id), "created_at": at.Format(time.RubyDate), "timestamp_ms": fmt.Sprint(at.UnixMilli()),
		"text": text, "lang": "en", "truncated": false, "geo": nil, "coordinates": nil, "in_reply_to_status_id": nil,
		"source":        `<a href="http://twitter.com" rel="nofollow">Twitter Web Client</a>`,
		"retweet_count": g.random.IntN(50), "favorite_count": 0,
		"entities": map[string]any{"hashtags": []string{}, "urls": []string{}, "user_mentions": []string{}},
		"user": map[string]any{
			"id": author, "screen_name": fmt.Sprintf("author_%d", author), "name": fmt.Sprintf("Author Number %d", author),
			"followers_count": author * 7919 % 20_011, "friends_count": author * 104_729 % 3_001, "verified": false, "lang": "en",
			"description": text, "location": word(author), "profile_image_url": fmt.Sprintf("http://pbs.twimg.com/profile_images/%d/normal.jpg", author),
		},
	}
	if g.random.IntN(10) < 3 {
		tweet["retweeted_status"] = map[string]any{"id": id - 1, "text": text, "user": map[string]any{"screen_name": "author_0"}}
	}
	data, err := json.Marshal(tweet)
	if err != nil {
		panic(err) // it has nothing that cannot be JSON
	}
	return data
}

// text returns some words. One text in a hundred has a term of interest.
func (g *generator) text(words int) string {
	all := make([]string, words)
	for i := range all {
		all[i] = word(g.words.Uint64())
	}
	if g.random.IntN(100) == 0 {
		all[g.random.IntN(words)] = "oracle"
	}
	return strings.Join(all, " ")
}

// word returns word i of the vocabulary: letters without a meaning.
func word(i uint64) string {
	const consonants, vowels = "bdfgklmnprstvz", "aeiou"
	var b strings.Builder
	for range 3 {
		b.WriteByte(consonants[i%uint64(len(consonants))])
		i /= uint64(len(consonants))
		b.WriteByte(vowels[i%uint64(len(vowels))])
		i /= uint64(len(vowels))
	}
	return b.String()
}
