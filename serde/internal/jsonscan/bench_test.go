package jsonscan_test

import (
	"encoding/json"
	"testing"

	"github.com/millrace-streams/millrace/serde/internal/jsonscan"
)

// line is a tweet of 850 bytes as Twitter's API v1.1 sent it.
const line = `{"created_at":"Wed Oct 10 20:19:24 +0000 2018","id":1050118621198921728,"id_str":"1050118621198921728",` +
	`"text":"To make room for more expression, we will now count all emojis as equal \u2014 including those with gender and skin tone \ud83d\udc4d https:\/\/t.co\/MkGjXf9aXm",` +
	`"source":"\u003ca href=\"http:\/\/twitter.com\" rel=\"nofollow\"\u003eTwitter Web Client\u003c\/a\u003e","truncated":false,` +
	`"in_reply_to_status_id":null,"user":{"id":6253282,"id_str":"6253282","name":"Twitter API","screen_name":"TwitterAPI","verified":true,"followers_count":6172353},` +
	`"geo":null,"coordinates":null,"retweet_count":0,"favorite_count":0,` +
	`"entities":{"hashtags":[{"text":"emoji","indices":[10,16]}],"urls":[{"url":"https:\/\/t.co\/MkGjXf9aXm","expanded_url":"https:\/\/twitter.com\/i\/web\/status\/105","indices":[117,140]}],` +
	`"user_mentions":[]},"favorited":false,"lang":"en","timestamp_ms":"1539202764000"}`

const short = `{"x":42,"y":["streams","tables"],"z":null}`

func BenchmarkDecode(b *testing.B) {
	bench[three](b, "three-fields", line)
	bench[tweet](b, "tweet", line)
	bench[whole](b, "every-field", line)
	bench[small](b, "small", short)
	bench[any](b, "any", line)
	bench[map[string]string](b, "map", `{"a":"1","bc":"2","def":"3","name":"streams & tables"}`)
}

// bench measures encoding/json beside the decoder, so that one run has the ratio.
func bench[T any](b *testing.B, name, data string) {
	in, d := []byte(data), jsonscan.For[T]()
	if !compare[T]().compare(b, in) {
		b.Fatalf("%s: in doubt", name)
	}
	b.Run(name+"/v1", func(b *testing.B) {
		b.SetBytes(int64(len(in)))
		b.ReportAllocs()
		for b.Loop() {
			var v T
			if err := json.Unmarshal(in, &v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"/jsonscan", func(b *testing.B) {
		b.SetBytes(int64(len(in)))
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := d.Decode(in); !ok {
				b.Fatal("in doubt")
			}
		}
	})
}
