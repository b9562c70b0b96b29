package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	longestText = 280
	// the text of a retweet is cut there, for clients that do not support retweets
	longestRetweet = 140
)

// compose writes a tweet of author a, mostly about the author's topic. The tweet never
// mentions its own author.
func (g *generator) compose(l *language, a *author) string {
	topic := a.topic
	if g.rng.Float64() < 0.35 {
		topic = g.section(l, "topics")
	}
	for {
		text := g.draft(l, topic)
		if utf8.RuneCountInString(text) <= longestText && !strings.Contains(text, a.user.ScreenName) {
			return text
		}
	}
}

func (g *generator) draft(l *language, topic string) string {
	parts := []string{g.section(l, "tweet."+topic)}
	if g.rng.Float64() < 0.25 {
		parts[0] = addSentence(parts[0], g.section(l, "more"))
	}
	if g.rng.Float64() < 0.25 {
		parts = append(parts, g.section(l, "emojis"))
	}
	for range 2 {
		if g.rng.Float64() < 0.15 {
			parts = append(parts, g.section(l, "tags."+topic))
		}
	}
	text := twitterEscape(strings.Join(parts, " "))
	if g.rng.Float64() < 0.42 {
		text += " " + g.link(l, topic)
	}
	return text
}

// addSentence joins two sentences. If only a capital letter would show that the second
// one starts, it adds a full stop.
func addSentence(text, more string) string {
	last, _ := utf8.DecodeLastRuneInString(text)
	first, _ := utf8.DecodeRuneInString(more)
	if unicode.IsUpper(first) && (unicode.IsLetter(last) || unicode.IsDigit(last)) {
		text += "."
	}
	return text + " " + more
}

// wordless writes a tweet without words.
func (g *generator) wordless(l *language) string {
	switch g.rng.IntN(3) {
	case 0:
		return g.section(l, "emojis")
	case 1:
		return g.link(l, "life")
	default:
		return g.section(l, "mention") + " " + g.section(l, "emojis")
	}
}

func (g *generator) replyText(l *language, to *Tweet) string {
	text := "@" + to.User.ScreenName + " " + g.section(l, "reply")
	if g.rng.Float64() < 0.3 {
		text += " " + g.section(l, "emojis")
	}
	return twitterEscape(text)
}

func retweetText(of *Tweet) string {
	text := []rune("RT @" + of.User.ScreenName + ": " + of.Text)
	if len(text) > longestRetweet {
		text = append(text[:longestRetweet-1], '…')
	}
	return string(text)
}

// twitterEscape escapes the same characters as Twitter.
var twitterEscape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace

// link invents an address for the topic, and returns the t.co address for it.
func (g *generator) link(l *language, topic string) string {
	section := "links." + topic
	if l.grammar["links"] != nil && g.rng.Float64() < 0.5 {
		section = "links" // the sites of the language's countries
	}
	short := "https://t.co/" + g.letters(10, base62)
	g.links[short] = g.section(l, section)
	return short
}

const (
	base62 = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	base36 = "0123456789abcdefghijklmnopqrstuvwxyz"
)

func (g *generator) letters(n int, from string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = from[g.rng.IntN(len(from))]
	}
	return string(b)
}

// newBuiltins returns the names in braces that are not sections of a grammar.
func (g *generator) newBuiltins() map[string]func(*language) string {
	number := func(from, to int) func(*language) string {
		return func(*language) string { return strconv.Itoa(from + g.rng.IntN(to-from)) }
	}
	letters := func(n int, from string) func(*language) string {
		return func(*language) string { return g.letters(n, from) }
	}
	return map[string]func(*language) string{
		"n":    number(2, 20),
		"nn":   number(20, 99),
		"big":  func(*language) string { return strconv.Itoa((2 + g.rng.IntN(90)) * 100) },
		"id":   number(10_000_000, 60_000_000),
		"hash": letters(7, base36),
		"yt":   letters(11, base62),
		"clock": func(*language) string {
			return fmt.Sprintf("%d:%02d", g.rng.IntN(24), 5*g.rng.IntN(12))
		},
		"mention": func(l *language) string { return "@" + g.someAuthor(l).user.ScreenName },
	}
}
