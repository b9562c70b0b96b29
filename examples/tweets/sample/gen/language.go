package main

import (
	"embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

//go:embed text/*.txt
var texts embed.FS

// language is a language with its grammar, its authors, and the tweets that they may
// retweet or reply to.
type language struct {
	code    string
	grammar grammar
	authors []*author // the most active first
	active  *rand.Zipf
	popular []*Tweet // from before the sample starts; the most retweeted first
	recent  []*Tweet // originals of the sample, the oldest first
}

// shares lists the languages, with their percentage of the tweets and their number of
// authors.
var shares = []struct {
	code             string
	percent, authors int
}{
	{"en", 47, 620},
	{"ja", 14, 220},
	{"es", 12, 190},
	{"pt", 7, 120},
	{"ar", 5, 90},
	{"fr", 4, 70},
	{"de", 4, 70},
	{"ko", 3, 50},
	{"tr", 2, 40},
	{"it", 2, 40},
}

func loadLanguage(code string, common grammar, builtins map[string]func(*language) string) (*language, error) {
	own, err := loadGrammar(code)
	if err != nil {
		return nil, err
	}
	all := own.extend(common)
	if err := errors.Join(all.check(builtins), all.checkTopics()); err != nil {
		return nil, fmt.Errorf("text/%s.txt: %w", code, err)
	}
	return &language{code: code, grammar: all}, nil
}

func loadGrammar(name string) (grammar, error) {
	file := "text/" + name + ".txt"
	text, err := texts.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseGrammar(file, string(text))
}

// remember keeps t for later retweets and replies. The window is short, because people
// reply to tweets that they have just seen.
func (l *language) remember(t *Tweet) {
	const window = 200
	if len(l.recent) == window {
		l.recent = append(l.recent[:0], l.recent[1:]...)
	}
	l.recent = append(l.recent, t)
}

// expand replaces each name in braces, and the names in the replacement.
func (g *generator) expand(l *language, text string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(text, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, rest, _ := strings.Cut(after, "}")
		b.WriteString(g.section(l, name))
		text = rest
	}
}

// section returns one expanded alternative of a section, or the result of a builtin.
func (g *generator) section(l *language, name string) string {
	if builtin := g.builtins[name]; builtin != nil {
		return builtin(l)
	}
	return g.expand(l, pick(g.rng, l.grammar[name]))
}
