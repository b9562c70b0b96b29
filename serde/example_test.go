package serde_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/serde/serdetest"
)

func ExampleJSON() {
	type Tweet struct {
		Author string `json:"author"`
		Text   string `json:"text"`
	}
	tweets := serde.JSON[Tweet]()

	data, err := serde.Encode(tweets, Tweet{Author: "rmoff", Text: "streams & tables"})
	fmt.Println(string(data), err)

	_, err = tweets.Decode([]byte(`{"author": 7}`))
	fmt.Println(err)
	// Output:
	// {"author":"rmoff","text":"streams & tables"} <nil>
	// json serde_test.Tweet: decode at byte 12: json: cannot unmarshal number into Go struct field Tweet.author of type string
}

// A codec that refuses fields which the type does not have.
func ExampleJSONWith() {
	type Tweet struct {
		Author string `json:"author"`
	}
	strict := func(data []byte, v any) error {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(v); err != nil {
			return err
		}
		if _, err := decoder.Token(); err != io.EOF {
			return errors.New("more than one value")
		}
		return nil
	}
	tweets := serde.JSONWith[Tweet](json.Marshal, strict)

	tweet, err := tweets.Decode([]byte(`{"author": "rmoff"}`))
	fmt.Println(tweet.Author, err)

	_, err = tweets.Decode([]byte(`{"author": "rmoff", "text": "streams & tables"}`))
	fmt.Println(err)
	// Output:
	// rmoff <nil>
	// json serde_test.Tweet: decode: json: unknown field "text"
}

// FormatName does not contain the type of a JSON serde. The type may therefore be renamed
// while an application has state.
func ExampleFormatName() {
	type Tweet struct{ Author string }
	fmt.Println(serde.FormatName(serde.Int64))
	fmt.Println(serde.FormatName(serde.JSON[Tweet]()))
	fmt.Println(serde.FormatName(serde.TimeWindowed(serde.String, time.Minute)))
	// Output:
	// int64
	// json
	// time-windowed (1m0s) string
}

func ExampleNullable() {
	counts := serde.Nullable(serde.Int64)

	n := int64(7)
	data, err := serde.Encode(counts, &n)
	fmt.Printf("%x %v\n", data, err)

	absent := counts.(serde.Optional[*int64])
	fmt.Println(absent.Absent(&n), absent.Absent(nil))
	// Output:
	// 0000000000000007 <nil>
	// false true
}

func ExampleTimeWindowed() {
	keys := serde.TimeWindowed(serde.String, time.Minute)

	data, err := serde.Encode(keys, serde.Windowed[string]{Key: "rmoff", Window: serde.Window{Start: 120_000, End: 180_000}})
	fmt.Printf("%x %v\n", data, err)

	key, err := keys.Decode(data)
	fmt.Println(key, key.EndTime().Format(time.TimeOnly), err)
	// Output:
	// 726d6f6666000000000001d4c0 <nil>
	// [rmoff@120000/180000] 00:03:00 <nil>
}

func ExampleSessionWindowed() {
	keys := serde.SessionWindowed(serde.String)

	data, err := serde.Encode(keys, serde.Windowed[string]{Key: "rmoff", Window: serde.Window{Start: 1, End: 2}})
	fmt.Printf("%x %v\n", data, err)
	// Output:
	// 726d6f666600000000000000020000000000000001 <nil>
}

// All windows of a key go to the partition of the key.
func ExampleAppendPartitionKey() {
	keys := serde.TimeWindowed(serde.String, time.Minute)
	for _, start := range []int64{0, 60_000} {
		key := serde.Windowed[string]{Key: "rmoff", Window: serde.Window{Start: start}}
		hashed, err := serde.AppendPartitionKey(nil, keys, key)
		fmt.Println(serde.Partition(hashed, 12), err)
	}
	fmt.Println(serde.Partition([]byte("rmoff"), 12))
	// Output:
	// 6 <nil>
	// 6 <nil>
	// 6
}

// caseless is a custom serde. Keys that differ only in case are the same key.
type caseless struct{}

func (caseless) Append(dst []byte, v string) ([]byte, error) {
	return append(dst, strings.ToLower(v)...), nil
}

func (caseless) Decode(data []byte) (string, error) { return string(data), nil }

func ExampleSerde() {
	data, err := serde.Encode(caseless{}, "RMOFF")
	fmt.Println(string(data), err)
	// Output: rmoff <nil>
}

// Every custom serde should have a test like this.
func TestCaseless(t *testing.T) {
	t.Parallel()
	serdetest.Run(t, caseless{}, "", "rmoff", "日本語")
	serdetest.RunEqual(t, caseless{}, strings.EqualFold, "RMoff")
}
