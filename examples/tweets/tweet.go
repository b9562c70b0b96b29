package main

import (
	"html"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Tweet has the fields of a tweet in Twitter's API v1.1 that the job needs.
type Tweet struct {
	ID        int64  `json:"id"`
	Text      string `json:"text"`
	CreatedAt string `json:"created_at"` // time.RubyDate
	Lang      string `json:"lang"`
	User      struct {
		ScreenName string `json:"screen_name"`
		Followers  int    `json:"followers_count"`
	} `json:"user"`
	Retweeted *Retweeted `json:"retweeted_status,omitempty"`
	Entities  struct {
		URLs []Link `json:"urls"`
	} `json:"entities"`
}

// Retweeted is the tweet that a retweet repeats.
type Retweeted struct {
	ID int64 `json:"id"`
}

// Link is a link in a tweet's text.
type Link struct {
	URL      string `json:"url"` // the short form in the text
	Expanded string `json:"expanded_url"`
}

func author(t Tweet) string { return t.User.ScreenName }

// original reports whether the record is a tweet and not a retweet. The stream also
// carries notices, which are not tweets.
func original(t Tweet) bool { return t.ID != 0 && t.Retweeted == nil }

// shortest is the minimum length of counted words. Shorter words are mostly articles and
// the like, which would lead every count.
const shortest = 4

// words returns the longer words of the text in lower case, without links and mentions.
// In scripts without spaces between words, it returns whole phrases.
func words(t Tweet) []string {
	var all []string
	for field := range strings.FieldsSeq(strings.ToLower(html.UnescapeString(t.Text))) {
		field, _, _ = strings.Cut(field, "http://")
		field, _, _ = strings.Cut(field, "https://")
		for part := range strings.FieldsFuncSeq(field, between) {
			word := strings.Trim(part, "_")
			if !strings.Contains(part, "@") && utf8.RuneCountInString(word) >= shortest {
				all = append(all, word)
			}
		}
	}
	return all
}

// between reports whether the character is not part of a word or a mention.
func between(r rune) bool {
	if unicode.Is(unicode.Variation_Selector, r) { // follows an emoji
		return true
	}
	return !unicode.In(r, unicode.L, unicode.Nd, unicode.M) && r != '_' && r != '@'
}

// matched returns the terms that occur in the text, in any case. The terms are in lower
// case.
func matched(t Tweet, terms []string) []string {
	text := strings.ToLower(t.Text)
	var found []string
	for _, term := range terms {
		if strings.Contains(text, term) {
			found = append(found, term)
		}
	}
	return found
}

// linksTo reports whether the tweet has a link to one of the domains, or to a subdomain
// of one.
func linksTo(t Tweet, domains []string) bool {
	for _, link := range t.Entities.URLs {
		u, err := url.Parse(link.Expanded)
		if err != nil {
			continue
		}
		host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		for _, domain := range domains {
			if host == domain || strings.HasSuffix(host, "."+domain) {
				return true
			}
		}
	}
	return false
}
