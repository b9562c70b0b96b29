package main

import (
	"strconv"
	"strings"
	"unicode"
)

// entities finds the hashtags, the links made by this generator, and the accounts that it
// knows. As with Twitter, an entity that is cut off by the … of a retweet does not count.
func (g *generator) entities(text string) Entities {
	e := Entities{Hashtags: []Hashtag{}, URLs: []URL{}, UserMentions: []Mention{}, Symbols: []struct{}{}}
	runes := []rune(text)
	for i := 0; i < len(runes); i++ {
		end := i
		switch {
		case strings.HasPrefix(string(runes[i:min(i+8, len(runes))]), "https://"):
			end = i + 8 + span(runes[i+8:], func(r rune) bool { return r == '.' || r == '/' || isWord(r) })
		case runes[i] == '#' || runes[i] == '@':
			end = i + 1 + span(runes[i+1:], isWord)
		}
		if end > i && (end == len(runes) || runes[end] != '…') {
			g.addEntity(&e, string(runes[i:end]), Indices{i, end})
		}
		i = max(i, end-1)
	}
	return e
}

// span counts the leading runes of a kind.
func span(runes []rune, of func(rune) bool) int {
	for i, r := range runes {
		if !of(r) {
			return i
		}
	}
	return len(runes)
}

func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

func (g *generator) addEntity(e *Entities, text string, at Indices) {
	switch text[0] {
	case '#':
		if isHashtag(text[1:]) {
			e.Hashtags = append(e.Hashtags, Hashtag{Text: text[1:], Indices: at})
		}
	case '@':
		if a := g.byName[strings.ToLower(text[1:])]; a != nil {
			id := a.user.ID
			e.UserMentions = append(e.UserMentions, Mention{
				ScreenName: a.user.ScreenName, Name: a.user.Name, ID: id, IDStr: strconv.FormatInt(id, 10), Indices: at,
			})
		}
	default:
		if to := g.links[text]; to != "" {
			e.URLs = append(e.URLs, URL{URL: text, ExpandedURL: to, DisplayURL: display(to), Indices: at})
		}
	}
}

// isHashtag refuses words without a letter: #1 is a number.
func isHashtag(word string) bool { return strings.ContainsFunc(word, unicode.IsLetter) }

// display shortens an address as Twitter does.
func display(address string) string {
	const shown = 27
	_, rest, _ := strings.Cut(address, "://")
	rest = strings.TrimPrefix(rest, "www.")
	if len(rest) <= shown {
		return rest
	}
	return rest[:shown] + "…"
}
