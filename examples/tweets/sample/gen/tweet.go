package main

import (
	"strconv"
	"time"
)

// Tweet has the fields of a status in Twitter's API v1.1 of 2018, with the same names,
// types and order. Fields that few programs read are left out, here and in User, because
// they would double the size of the sample.
type Tweet struct {
	CreatedAt           string   `json:"created_at"`
	ID                  int64    `json:"id"`
	IDStr               string   `json:"id_str"`
	Text                string   `json:"text"`
	Truncated           bool     `json:"truncated"`
	InReplyToStatusID   *int64   `json:"in_reply_to_status_id"`
	InReplyToStatusStr  *string  `json:"in_reply_to_status_id_str"`
	InReplyToUserID     *int64   `json:"in_reply_to_user_id"`
	InReplyToUserStr    *string  `json:"in_reply_to_user_id_str"`
	InReplyToScreenName *string  `json:"in_reply_to_screen_name"`
	User                User     `json:"user"`
	RetweetedStatus     *Tweet   `json:"retweeted_status,omitempty"`
	IsQuoteStatus       bool     `json:"is_quote_status"`
	QuoteCount          int      `json:"quote_count"`
	ReplyCount          int      `json:"reply_count"`
	RetweetCount        int      `json:"retweet_count"`
	FavoriteCount       int      `json:"favorite_count"`
	Entities            Entities `json:"entities"`
	Favorited           bool     `json:"favorited"`
	Retweeted           bool     `json:"retweeted"`
	PossiblySensitive   *bool    `json:"possibly_sensitive,omitempty"`
	FilterLevel         string   `json:"filter_level"`
	Lang                string   `json:"lang"`

	at time.Time
}

// User is the author's account at the time of the tweet.
type User struct {
	ID             int64   `json:"id"`
	IDStr          string  `json:"id_str"`
	Name           string  `json:"name"`
	ScreenName     string  `json:"screen_name"`
	Description    *string `json:"description"`
	Verified       bool    `json:"verified"`
	FollowersCount int     `json:"followers_count"`
	StatusesCount  int     `json:"statuses_count"`
	Lang           string  `json:"lang"`
}

// Entities lists the entities that Twitter recognised in the text.
type Entities struct {
	Hashtags     []Hashtag  `json:"hashtags"`
	URLs         []URL      `json:"urls"`
	UserMentions []Mention  `json:"user_mentions"`
	Symbols      []struct{} `json:"symbols"`
}

// Indices are the index of the first code point of an entity in the text, and the index
// after its last one.
type Indices [2]int

// Hashtag is a word after a #. Text does not contain the #.
type Hashtag struct {
	Text    string  `json:"text"`
	Indices Indices `json:"indices"`
}

// URL is a link. Its URL field is the t.co address in the text.
type URL struct {
	URL         string  `json:"url"`
	ExpandedURL string  `json:"expanded_url"`
	DisplayURL  string  `json:"display_url"`
	Indices     Indices `json:"indices"`
}

// Mention is an account named in the text, without the @.
type Mention struct {
	ScreenName string  `json:"screen_name"`
	Name       string  `json:"name"`
	ID         int64   `json:"id"`
	IDStr      string  `json:"id_str"`
	Indices    Indices `json:"indices"`
}

// twitterEpoch is the start of the time in a tweet's ID, in milliseconds: 2010-11-04
// 01:42:54.657 UTC.
const twitterEpoch = 1288834974657

// snowflake makes a tweet's ID: 41 bits of time, 10 of machine, 12 of sequence number.
func snowflake(at time.Time, machine, sequence int64) int64 {
	return (at.UnixMilli()-twitterEpoch)<<22 | machine<<12 | sequence
}

// stamp sets the fields that depend on the tweet's ID and time.
func (t *Tweet) stamp(id int64, at time.Time) {
	t.ID, t.IDStr = id, strconv.FormatInt(id, 10)
	t.at, t.CreatedAt = at, createdAt(at)
}

func createdAt(at time.Time) string { return at.UTC().Format(time.RubyDate) }

func (t *Tweet) replyTo(to *Tweet) {
	t.InReplyToStatusID, t.InReplyToStatusStr = &to.ID, &to.IDStr
	t.InReplyToUserID, t.InReplyToUserStr = &to.User.ID, &to.User.IDStr
	t.InReplyToScreenName = &to.User.ScreenName
}
