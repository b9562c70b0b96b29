package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

type author struct {
	user  User
	topic string // topic of most of the author's tweets
}

// zipfExponent and zipfOffset determine how active authors are. In English, the first
// author writes about 5 in 100 tweets, and about half of the tweets come from one author
// in ten.
const (
	zipfExponent = 1.15
	zipfOffset   = 6
)

// populate gives l its n authors: those that authors.txt names, and then invented ones.
func (g *generator) populate(l *language, named []*author, n int) error {
	for _, a := range named {
		if err := g.register(a); err != nil {
			return err
		}
		l.authors = append(l.authors, a)
	}
	for len(l.authors) < n {
		a := g.inventAuthor(l)
		if g.register(a) != nil {
			continue // the screen name is taken or too long
		}
		l.authors = append(l.authors, a)
	}
	l.active = rand.NewZipf(g.rng, zipfExponent, zipfOffset, uint64(len(l.authors)-1))
	return nil
}

// register registers an author by screen name.
func (g *generator) register(a *author) error {
	const longest = 15 // Twitter's limit
	name := a.user.ScreenName
	if len(name) > longest {
		return fmt.Errorf("screen name %q is longer than %d characters", name, longest)
	}
	key := strings.ToLower(name)
	if _, taken := g.byName[key]; taken {
		return fmt.Errorf("screen name %q is taken", name)
	}
	g.byName[key] = a
	return nil
}

func (g *generator) inventAuthor(l *language) *author {
	return g.newAuthor(l, author{
		topic: g.section(l, "topics"),
		user: User{
			Name:           g.section(l, "display"),
			ScreenName:     g.section(l, "handle"),
			Description:    g.sometimes(0.3, l, "bio"),
			FollowersCount: g.lognormal(5.6, 1.7),
			Verified:       g.rng.Float64() < 0.01,
		},
	})
}

// newAuthor fills in the rest of an account.
func (g *generator) newAuthor(l *language, a author) *author {
	u := &a.user
	joined := time.Date(2007, 6, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(g.rng.Int64N(11*365*24*3600)) * time.Second)
	u.ID = accountID(g.rng, joined)
	u.IDStr = strconv.FormatInt(u.ID, 10)
	u.StatusesCount = 1 + g.lognormal(8.3, 1.6)
	u.Lang = l.code
	return &a
}

// accountID returns a small number for an account from Twitter's first years, and a
// snowflake from late 2015 on.
func accountID(r *rand.Rand, joined time.Time) int64 {
	switch {
	case joined.Year() < 2016:
		days := joined.Sub(time.Date(2007, 1, 1, 0, 0, 0, 0, time.UTC)).Hours() / 24
		return int64(days*days*370) + r.Int64N(500_000)
	default:
		return snowflake(joined, r.Int64N(1024), r.Int64N(8))
	}
}

func (g *generator) sometimes(chance float64, l *language, section string) *string {
	if g.rng.Float64() >= chance {
		return nil
	}
	text := g.section(l, section)
	return &text
}

// lognormal returns counts that are small for most and huge for a few. mu is the
// logarithm of the median.
func (g *generator) lognormal(mu, sigma float64) int {
	return int(math.Exp(mu + sigma*g.rng.NormFloat64()))
}

// namedAuthors reads authors.txt.
func (g *generator) namedAuthors(l *language) ([]*author, error) {
	text, err := texts.ReadFile("text/authors.txt")
	if err != nil {
		return nil, err
	}
	var named []*author
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSpace(line), " | ")
		if strings.HasPrefix(line, ";") || f[0] != l.code {
			continue
		}
		if len(f) != 6 {
			return nil, fmt.Errorf("text/authors.txt: %q has %d fields, want 6", line, len(f))
		}
		followers, err := strconv.Atoi(f[2])
		if err != nil {
			return nil, fmt.Errorf("text/authors.txt: followers of %s: %w", f[3], err)
		}
		named = append(named, g.newAuthor(l, author{topic: f[1], user: User{
			FollowersCount: followers, ScreenName: f[3], Name: f[4], Description: &f[5],
		}}))
	}
	return named, nil
}
