package foreign

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/millrace-streams/millrace/serde"
)

// Vectors of Kafka Streams 4.3.1.
func TestHashesAreKafkaStreams(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		"":      "9d2764a018e329428c3cf3b035938518",
		"a":     "3361634e7e0f5188e9c7dda24eae326b",
		"hello": "30bfb4f39919e764566aea857401d1c6",
		"The quick brown fox jumps over the lazy dog": "e74c5921af0f99c8b7f85ec81df06726",
		"0123456789abcdef":                            "1a6e941ec6a76967d7d82808f505d6b1",
		"0123456789abcdef0":                           "85e3069a748c16b6bc8c0a283538abb8",
	} {
		if h := HashOf([]byte(data)); hex.EncodeToString(h.sum[:]) != want || h == (Hash{}) {
			t.Errorf("%q: %x, want %s", data, h.sum, want)
		}
	}
}

func TestSubscriptionsAreKafkaStreams(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]Subscription{
		"8000706b2d30":         {Primary: "pk-0", Partition: -1},
		"8102706b2d3000000003": {Instruction: SubscribeAndAnswer, Primary: "pk-0", Partition: 3},
		"00013361634e7e0f5188e9c7dda24eae326b706b2d31":         {HashOf([]byte("a")), UnsubscribeAndAnswer, "pk-1", -1},
		"01033361634e7e0f5188e9c7dda24eae326b706b2d3100000003": {HashOf([]byte("a")), Subscribe, "pk-1", 3},
	} {
		roundTrip(t, Subscriptions(), s, want, func(a, b Subscription) bool { return a == b })
	}
}

func TestResponsesAreKafkaStreams(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Response{
		"80":                                 {Partition: -1},
		"80666f726569676e":                   {Value: []byte("foreign"), Partition: -1},
		"003361634e7e0f5188e9c7dda24eae326b": {Hash: HashOf([]byte("a")), Partition: -1},
		"003361634e7e0f5188e9c7dda24eae326b666f726569676e": {HashOf([]byte("a")), []byte("foreign"), -1},
		// Millrace's own.
		"81":                                 {Value: []byte{}, Partition: -1},
		"013361634e7e0f5188e9c7dda24eae326b": {HashOf([]byte("a")), []byte{}, -1},
	} {
		roundTrip(t, Responses(), r, want, sameResponse)
	}
}

func sameResponse(a, b Response) bool {
	return a.Hash == b.Hash && a.Partition == b.Partition && (a.Value == nil) == (b.Value == nil) && bytes.Equal(a.Value, b.Value)
}

func TestKeysAreKafkaStreams(t *testing.T) {
	t.Parallel()
	keys := Keys(serde.String, serde.Int64)
	for want, k := range map[string]Key{
		"0000000161706b":             {"a", "pk"},
		"00000000706b":               {"", "pk"},
		"000000066b65792dc3a9706b":   {"key-é", "pk"},
		"000000010000000000":         {"\x00", "\x00\x00\x00\x00"},
		"0000000500000001610000000a": {"\x00\x00\x00\x01a", "\x00\x00\x00\x0a"},
	} {
		roundTrip(t, keys, k, want, func(a, b Key) bool { return a == b })
	}
	if got := serde.FormatName(keys); got != "subscription(string, int64)" {
		t.Errorf("the format is %q", got)
	}
}

func roundTrip[T any](t *testing.T, s serde.Serde[T], v T, want string, same func(a, b T) bool) {
	t.Helper()
	data, err := serde.Encode(s, v)
	if err != nil || hex.EncodeToString(data) != want {
		t.Errorf("%+v: %x, %v, want %s", v, data, err, want)
	}
	if back, err := s.Decode(data); err != nil || !same(back, v) {
		t.Errorf("%s: %+v, %v, want %+v", want, back, err, v)
	}
}

func TestDecodingRefuses(t *testing.T) {
	t.Parallel()
	for text, why := range map[string]string{
		"": "empty", "01": "no instruction", "0103b851": "half a hash", "81020000": "half a partition",
		"810461000000": "cut off", "81046100000000": "unknown instruction", "82016100000000": "unknown version",
		"8102ffffffff": "negative partition",
	} {
		if s, err := Subscriptions().Decode(unhex(t, text)); err == nil {
			t.Errorf("subscription %s, %s: %+v", text, why, s)
		}
	}
	for _, text := range []string{"", "00", "0033616300", "8261", "8161"} {
		if r, err := Responses().Decode(unhex(t, text)); err == nil {
			t.Errorf("response %s: %+v", text, r)
		}
	}
	for _, text := range []string{"", "000000", "00000002ab", "ffffffff6162"} {
		if k, err := Keys(nil, nil).Decode(unhex(t, text)); err == nil {
			t.Errorf("key %s: %+v", text, k)
		}
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// If bytes can be decoded, encoding the result gives the same bytes.
func FuzzSubscriptions(f *testing.F) {
	f.Add([]byte("\x81\x02pk\x00\x00\x00\x03"))
	f.Add([]byte("\x00\x010123456789abcdefpk"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Subscriptions().Decode(data)
		if err != nil {
			return
		}
		if again, err := serde.Encode(Subscriptions(), s); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x became %+v and %x, %v", data, s, again, err)
		}
	})
}

func FuzzResponses(f *testing.F) {
	f.Add([]byte("\x80"))
	f.Add([]byte("\x81"))
	f.Add([]byte("\x000123456789abcdefvalue"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Responses().Decode(data)
		if err != nil {
			return
		}
		if again, err := serde.Encode(Responses(), r); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x became %+v and %x, %v", data, r, again, err)
		}
	})
}

// The subscriptions of a foreign key, and no others, begin with its prefix.
func FuzzKeys(f *testing.F) {
	f.Add([]byte("a"), []byte("pk"), []byte("ab"))
	f.Add([]byte(""), []byte("\x00\x00\x00\x01a"), []byte("\x00"))
	f.Fuzz(func(t *testing.T, foreign, primary, other []byte) {
		key := AppendKey(nil, foreign, string(primary))
		k, err := Keys(nil, nil).Decode(key)
		if err != nil || k != (Key{string(foreign), string(primary)}) {
			t.Fatalf("%x is %+v, %v", key, k, err)
		}
		if begins := bytes.HasPrefix(key, AppendPrefix(nil, other)); begins != bytes.Equal(foreign, other) {
			t.Fatalf("%x begins with the prefix of %x: %t", key, other, begins)
		}
		// Any other bytes.
		if k, err := Keys(nil, nil).Decode(primary); err == nil && !bytes.Equal(AppendKey(nil, []byte(k.Foreign), k.Primary), primary) {
			t.Fatalf("%x is %+v", primary, k)
		}
	})
}

func BenchmarkHashOf(b *testing.B) {
	data := binary.BigEndian.AppendUint64(make([]byte, 92), 1)
	for b.Loop() {
		HashOf(data)
	}
}
