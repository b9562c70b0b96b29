package jsonscan_test

import (
	"encoding/json"
	"time"
)

// tweet is the type of the example tweets: eight of about forty fields.
type tweet struct {
	ID        int64  `json:"id"`
	Text      string `json:"text"`
	CreatedAt string `json:"created_at"`
	Lang      string `json:"lang"`
	User      struct {
		ScreenName string `json:"screen_name"`
		Followers  int    `json:"followers_count"`
	} `json:"user"`
	Retweeted *struct {
		ID int64 `json:"id"`
	} `json:"retweeted_status,omitempty"`
	Entities struct {
		URLs []link `json:"urls"`
	} `json:"entities"`
}

type link struct {
	URL      string `json:"url"`
	Expanded string `json:"expanded_url"`
}

// three has three fields of a tweet.
type three struct {
	ID   int64  `json:"id"`
	Text string `json:"text"`
	Lang string `json:"lang"`
}

// whole has nearly every field of a tweet of the sample.
type whole struct {
	ID         int64     `json:"id"`
	IDStr      string    `json:"id_str"`
	Text       string    `json:"text"`
	CreatedAt  string    `json:"created_at"`
	Lang       string    `json:"lang"`
	Source     string    `json:"source"`
	Truncated  bool      `json:"truncated"`
	Timestamp  string    `json:"timestamp_ms"`
	User       author    `json:"user"`
	Retweeted  *whole    `json:"retweeted_status"`
	Entities   *entities `json:"entities"`
	Retweets   int       `json:"retweet_count"`
	Favourites int       `json:"favorite_count"`
	Geo        any       `json:"geo"`
}

type author struct {
	ID         int64  `json:"id"`
	ScreenName string `json:"screen_name"`
	Name       string `json:"name"`
	Followers  uint32 `json:"followers_count"`
	Verified   bool   `json:"verified"`
}

type entities struct {
	URLs     []link           `json:"urls"`
	Hashtags []map[string]any `json:"hashtags"`
	Mentions []struct {
		ScreenName string `json:"screen_name"`
		Indices    [2]int `json:"indices"`
	} `json:"user_mentions"`
}

type name string

// kinds has a field of every kind that a plan knows. Its keys are short, so that
// mutations find them.
type kinds struct {
	B   bool
	I   int
	I8  int8
	I16 int16 `json:"i16,omitempty"`
	U   uint
	U8  uint8
	U64 uint64
	F   float64
	F32 float32
	S   string
	N   name
	Num json.Number
	A   any
	By  []byte
	L   []int
	LL  [][]string
	LS  []small
	Ar  [2]small
	M   map[string]string
	MN  map[name]*int
	MS  map[string]small
	MA  map[string]any
	P   *int
	PP  **string
	PS  *kinds
	T   time.Time
	PT  *time.Time
	R   json.RawMessage
	PR  *json.RawMessage
	LR  []json.RawMessage
}

type small struct {
	X int      `json:"x"`
	Y []string `json:"y,omitempty"`
	Z *small   `json:"z"`
}

// embeds has fields that hide each other, and names that are equal under case folding.
type embeds struct {
	inner
	*Outer
	Name  string
	Tag   string `json:"tag"`
	TAG   string
	Kelvi string `json:"k"`
	Long  string `json:"a name that is much longer than others"`
	Skip  func() `json:"-"`
	//lint:ignore U1000 encoding/json must not set it
	other string
}

type inner struct {
	Name  string // hidden by embeds.Name
	Deep  int
	Both  int
	Equal int
	deeper
}

type deeper struct {
	Both int // hidden by inner.Both
	Far  []int
}

type Outer struct {
	Equal int // as deep as inner.Equal: neither is used
	Both  int `json:"Both"` // has a tag, so it hides inner.Both
	Made  string
}

type accents struct {
	Ä   int
	Été string
	S   string
}
