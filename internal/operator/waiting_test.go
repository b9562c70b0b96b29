package operator

import (
	"bytes"
	"testing"

	"github.com/millrace-streams/millrace/serde"
)

// If bytes can be decoded, encoding the result gives the same bytes.
func FuzzWaitingKeys(f *testing.F) {
	keys := WaitingKeys(serde.String)
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x05\x01key"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x05\x00"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x05\x02key"))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := keys.Decode(data)
		if err != nil {
			return
		}
		if again, err := keys.Append(nil, k); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x became %+v and %x, %v", data, k, again, err)
		}
	})
}

// A list has the records of one side only, so its encoding gives the same bytes.
func FuzzWaitingValues(f *testing.F) {
	values := WaitingValues(serde.String, serde.String)
	for _, w := range []Waiting[string, string]{{}, {Left: []string{"a", ""}}, {Right: []string{"b"}}} {
		data, err := values.Append(nil, w)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("\x01\xff\xff\xff\xff\x00\x00\x00\x01\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		w, err := values.Decode(data)
		if err != nil || len(w.Left) > 0 && len(w.Right) > 0 {
			return
		}
		if again, err := values.Append(nil, w); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x became %+v and %x, %v", data, w, again, err)
		}
	})
}

func TestWaitingRefuses(t *testing.T) {
	t.Parallel()
	for text, why := range map[string]string{
		"": "empty", "\x01\x00\x00\x00": "no number", "\x02\x00\x00\x00\x00": "another list", "\x01\x00\x00\x00\x01\x00\x00\x00\x02\x01": "cut off",
		"\x01\x00\x00\x00\x01\x00\x00\x00\x01\x07": "no side", "\x01\x00\x00\x00\x00x": "more than the list",
	} {
		if w, err := WaitingValues(serde.String, serde.String).Decode([]byte(text)); err == nil {
			t.Errorf("%s: %q is %+v", why, text, w)
		}
	}
}
