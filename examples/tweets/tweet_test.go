package main

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"The cat sat on the KAFKA broker", []string{"kafka", "broker"}},
		{"Kafka,kafka: (kafka)...kafka!", []string{"kafka", "kafka", "kafka", "kafka"}},
		{"don't mind O'Reilly", []string{"mind", "reilly"}},
		{"@rmoff .@rmoff: (@rmoff) thanks me@example.com", []string{"thanks"}},
		{"look: https://t.co/abcd (https://t.co/efgh) http://example.com/words", []string{"look"}},
		{"日本語でhttps://t.co/abcd", []string{"日本語で"}},
		{"httpd https mean other things", []string{"httpd", "https", "mean", "other", "things"}},
		{"salt &amp; pepper &lt;3 &quot;quoted&quot;", []string{"salt", "pepper", "quoted"}},
		{"great❤️days 🎉🎉🎉🎉 👩‍👩‍👧‍👦 1️⃣2️⃣", []string{"great", "days"}},
		{"#ApacheKafka #golang_tips __init__", []string{"apachekafka", "golang_tips", "init"}},
		{"2018 100 3.14159", []string{"2018", "14159"}},
		{"Über größe naïve", []string{"über", "größe", "naïve"}},
		{"na\u00efve nai\u0308ve", []string{"na\u00efve", "nai\u0308ve"}},
		{"おはようございます、今日も静か", []string{"おはようございます", "今日も静か"}},
		{"오늘은 커피를 마셨습니다", []string{"마셨습니다"}},
		{"مرحبا يا صديقي", []string{"مرحبا", "صديقي"}},
		{"one\ntwo\tthree\u00a0four", []string{"three", "four"}},
	} {
		if got := words(Tweet{Text: test.text}); !slices.Equal(got, test.want) {
			t.Errorf("words of %q are %q, want %q", test.text, got, test.want)
		}
	}
}

func TestMatched(t *testing.T) {
	t.Parallel()
	terms := list{"oracle", "kafka", "été", "日本"}
	for text, want := range map[string][]string{
		"":                        nil,
		"nothing of interest":     nil,
		"KaFkA":                   {"kafka"},
		"#kafka kafka":            {"kafka"},
		"from Kafka to Oracle":    {"oracle", "kafka"},
		"L'ÉTÉ":                   {"été"},
		"日本語":                     {"日本"},
		"kaf ka":                  nil,
		"https://t.co/kafka only": {"kafka"},
	} {
		if got := matched(Tweet{Text: text}, terms); !slices.Equal(got, want) {
			t.Errorf("terms in %q are %q, want %q", text, got, want)
		}
	}
	if got := matched(Tweet{Text: "anything"}, nil); got != nil {
		t.Errorf("without terms %q match", got)
	}
}

func TestLinksTo(t *testing.T) {
	t.Parallel()
	domains := list{"github.com", "confluent.io"}
	for link, want := range map[string]bool{
		"https://github.com/twmb/franz-go":   true,
		"http://GitHub.com":                  true,
		"https://gist.github.com/x?y=z#f":    true,
		"https://a.b.confluent.io:8443/":     true,
		"https://user:secret@github.com/":    true,
		"https://github.com./":               true,
		"https://notgithub.com/":             false,
		"https://github.com.example.org/":    false,
		"https://example.org/github.com":     false,
		"https://example.org/?to=github.com": false,
		"https://github.community/":          false,
		// no host: Twitter expands links fully
		"github.com/twmb":                     false,
		"":                                    false,
		"https://[::1":                        false,
		"https://example.org/%zz github.com/": false,
	} {
		tweet := Tweet{}
		tweet.Entities.URLs = []Link{{Expanded: "https://example.org/"}, {URL: "https://t.co/x", Expanded: link}}
		if got := linksTo(tweet, domains); got != want {
			t.Errorf("linksTo is %v for %q", got, link)
		}
	}
	if linksTo(Tweet{}, domains) {
		t.Error("a tweet without links links")
	}
}

func TestOriginal(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		`{"id":1,"text":"a"}`:                               true,
		`{"id":1,"retweeted_status":null}`:                  true,
		`{"id":2,"retweeted_status":{"id":1}}`:              false,
		`{"delete":{"status":{"id":1}}}`:                    false,
		`{"limit":{"track":7}}`:                             false,
		`null`:                                              false,
		`{"id":2,"quoted_status":{"id":1}}`:                 true,
		`{"id":9007199254740993,"text":"big \ud83d\ude00"}`: true,
	} {
		var tweet Tweet
		if err := json.Unmarshal([]byte(line), &tweet); err != nil {
			t.Fatal(err)
		}
		if original(tweet) != want {
			t.Errorf("original is %v for %s", !want, line)
		}
	}
}
