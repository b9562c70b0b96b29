package operator

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/serde"
)

// TestDeltas compares with bytes that Kafka Streams 4.3.1 has written.
func TestDeltas(t *testing.T) {
	t.Parallel()
	s := Deltas(serde.String)
	long := strings.Repeat("x", 100)
	for _, test := range []struct {
		d    Delta[string]
		want string
	}{
		{Delta[string]{New: "new", HasNew: true}, "6e657701"},
		{Delta[string]{Old: "old", HasOld: true}, "6f6c6400"},
		{Delta[string]{New: "new", HasNew: true, Old: "old", HasOld: true}, "066e65776f6c6402"},
		{Delta[string]{HasNew: true, Old: "old", HasOld: true}, "006f6c6402"},
		{Delta[string]{New: long, HasNew: true, Old: "y", HasOld: true}, "c801" + strings.Repeat("78", 100) + "7902"},
		{Delta[string]{HasNew: true}, "01"},
	} {
		data, err := s.Append([]byte{9}, test.d)
		if got := hex.EncodeToString(data[1:]); err != nil || got != test.want {
			t.Errorf("%+v: %s, %v, want %s", test.d, got, err, test.want)
		}
		if d, err := s.Decode(data[1:]); err != nil || d != test.d {
			t.Errorf("%s: %+v, %v, want %+v", test.want, d, err, test.d)
		}
	}
	if _, err := s.Append(nil, Delta[string]{}); err == nil {
		t.Error("an empty update has an encoding")
	}
}

func TestDecodeDeltas(t *testing.T) {
	t.Parallel()
	s := Deltas(serde.String)
	for text, want := range map[string]string{
		"":               "empty",
		"03":             "no value before it",
		"0006":           "not a format",
		"02":             "new value of",
		"0c6e65776f02":   "new value of 6 bytes",
		"ffffffffff0f02": "new value of",
	} {
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if d, err := s.Decode(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, error %v, want %q", text, d, err, want)
		}
	}
	// In versioned tables, Kafka Streams adds a byte that says whether the update is the
	// latest.
	if d, err := s.Decode([]byte("new\x01\x04")); err != nil || d != (Delta[string]{New: "new", HasNew: true}) {
		t.Errorf("%+v, %v", d, err)
	}
}

func FuzzDeltas(f *testing.F) {
	for _, seed := range []string{"new\x01", "old\x00", "\x06newold\x02", "\x02", "new\x01\x04", ""} {
		f.Add([]byte(seed))
	}
	s := Deltas(serde.String)
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := s.Decode(data)
		if err != nil {
			return
		}
		again, err := s.Append(nil, d)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := s.Decode(again); err != nil || back != d {
			t.Errorf("%q: %+v, then %+v, %v", data, d, back, err)
		}
	})
}
