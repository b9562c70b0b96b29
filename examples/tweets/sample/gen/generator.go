package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// The sample's statistics.
const (
	// between two lines: 6000 lines take 20 minutes
	meanGap        = 200 * time.Millisecond
	brokenShare    = 0.005
	retweetShare   = 0.31
	replyShare     = 0.15 // of the tweets that are not retweets
	languagelessly = 0.025
	// share of the tweets that arrive seconds after their created_at, as from a slow
	// client
	lateShare = 0.04
)

// start is the time of the sample's first line.
var start = time.Date(2018, 10, 10, 20, 19, 24, 0, time.UTC)

// generator makes one line after the other. Every choice comes from rng, so the seed
// determines all lines.
type generator struct {
	rng       *rand.Rand
	now       time.Time // when the next line arrives
	languages []*language
	hundred   []*language // each language as often as its percentage
	byName    map[string]*author
	links     map[string]string // t.co address to the address behind it
	builtins  map[string]func(*language) string
	sequence  int64 // of the tweets' IDs, so that they are unique
	spoilt    int   // broken lines so far
}

func newGenerator(seed uint64) (*generator, error) {
	g := &generator{
		rng:    rand.New(rand.NewPCG(seed, seed)),
		now:    start,
		byName: map[string]*author{},
		links:  map[string]string{},
	}
	g.builtins = g.newBuiltins()
	common, err := loadGrammar("common")
	if err != nil {
		return nil, err
	}
	for _, share := range shares {
		l, err := loadLanguage(share.code, common, g.builtins)
		if err != nil {
			return nil, err
		}
		named, err := g.namedAuthors(l)
		if err != nil {
			return nil, err
		}
		if err := g.populate(l, named, share.authors); err != nil {
			return nil, fmt.Errorf("language %s: %w", share.code, err)
		}
		g.prepare(l, share.percent*3)
		g.languages = append(g.languages, l)
		g.hundred = append(g.hundred, slices.Repeat([]*language{l}, share.percent)...)
	}
	return g, nil
}

// prepare gives l tweets from the days before the sample that are still retweeted.
func (g *generator) prepare(l *language, n int) {
	for range n {
		age := 15*time.Minute + time.Duration(g.rng.Int64N(int64(3*24*time.Hour)))
		t := g.original(l, start.Add(-age))
		t.RetweetCount = 3 + g.lognormal(5, 2)
		t.FavoriteCount = t.RetweetCount*2 + g.lognormal(5, 1.5)
		t.ReplyCount = t.RetweetCount / (5 + g.rng.IntN(20))
		t.QuoteCount = t.RetweetCount / (10 + g.rng.IntN(30))
		l.popular = append(l.popular, t)
	}
	slices.SortStableFunc(l.popular, func(a, b *Tweet) int { return cmp.Compare(b.RetweetCount, a.RetweetCount) })
}

// line returns the next line, without a newline.
func (g *generator) line() ([]byte, error) {
	g.now = g.now.Add(time.Duration(g.rng.ExpFloat64() * float64(meanGap)))
	l := evenly(g.rng, g.hundred)
	at := g.now.Add(-g.delay())
	if g.rng.Float64() < brokenShare {
		return g.broken(g.original(l, at))
	}
	return encode(g.tweet(l, at))
}

// delay returns the time from created_at to the arrival.
func (g *generator) delay() time.Duration {
	if g.rng.Float64() < lateShare {
		return time.Second + time.Duration(g.rng.Int64N(int64(8*time.Second)))
	}
	return time.Duration(g.rng.Int64N(int64(300 * time.Millisecond)))
}

func (g *generator) tweet(l *language, at time.Time) *Tweet {
	if g.rng.Float64() < retweetShare {
		return g.retweet(l, at)
	}
	var t *Tweet
	if g.rng.Float64() < replyShare && len(l.recent) > 0 {
		t = g.answer(l, at)
	} else {
		t = g.original(l, at)
	}
	g.earlyCounts(t)
	l.remember(t)
	return t
}

// earlyCounts gives some of the new tweets their first reactions. Most tweets have none
// when the stream delivers them.
func (g *generator) earlyCounts(t *Tweet) {
	if g.rng.Float64() < 0.12 {
		t.FavoriteCount = 1 + g.rng.IntN(4)
	}
	if g.rng.Float64() < 0.03 {
		t.ReplyCount = 1
	}
}

func (g *generator) original(l *language, at time.Time) *Tweet {
	a := g.someAuthor(l)
	if g.rng.Float64() < languagelessly {
		t := g.newTweet(l, a, at, g.wordless(l))
		t.Lang = "und"
		return t
	}
	return g.newTweet(l, a, at, g.compose(l, a))
}

func (g *generator) answer(l *language, at time.Time) *Tweet {
	to := evenly(g.rng, l.recent)
	t := g.newTweet(l, g.someAuthor(l), at, g.replyText(l, to))
	t.replyTo(to)
	return t
}

// retweet repeats a tweet as it is at that moment: the copy inside has the current
// counts.
func (g *generator) retweet(l *language, at time.Time) *Tweet {
	of := g.retweetable(l, at)
	by := g.someAuthor(l)
	for by.user.ID == of.User.ID {
		by = g.someAuthor(l)
	}
	of.RetweetCount++
	of.FavoriteCount += g.rng.IntN(4)
	inner := *of

	t := g.newTweet(l, by, at, retweetText(of))
	t.RetweetedStatus = &inner
	t.Lang = of.Lang
	t.RetweetCount, t.ReplyCount, t.QuoteCount = inner.RetweetCount, inner.ReplyCount, inner.QuoteCount
	return t
}

// retweetable selects a tweet that existed at that time: mostly a popular one, otherwise
// a recent one of the sample.
func (g *generator) retweetable(l *language, at time.Time) *Tweet {
	if len(l.recent) > 0 && g.rng.Float64() < 0.25 {
		if t := evenly(g.rng, l.recent); t.at.Before(at.Add(-2 * time.Second)) {
			return t
		}
	}
	return pick(g.rng, l.popular)
}

func (g *generator) someAuthor(l *language) *author { return l.authors[l.active.Uint64()] }

func (g *generator) newTweet(l *language, by *author, at time.Time, text string) *Tweet {
	by.user.StatusesCount++
	t := &Tweet{
		Text:        text,
		User:        by.user,
		FilterLevel: "low",
		Lang:        l.code,
		Entities:    g.entities(text),
	}
	if len(t.Entities.URLs) > 0 {
		t.PossiblySensitive = new(bool)
	}
	g.sequence++
	t.stamp(snowflake(at, 320+g.rng.Int64N(8), g.sequence%64), at)
	return t
}
