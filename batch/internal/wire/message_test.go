package wire

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-streams/millrace/serde"
)

func TestMessages(t *testing.T) {
	t.Parallel()
	for _, m := range []Message{
		{Kind: Partial, Name: "authors", Span: Span{From: 5, To: 10}, Payload: []byte("abc")},
		{Kind: Row, Name: "authors-top", Span: Span{From: 0, To: 1 << 50}, Payload: []byte{}},
		{Kind: Marker, Name: "originals", Span: Span{From: 5, To: 10, Live: true}, Task: 2, Of: 3},
		{Kind: Marker, Name: "originals", Span: Span{From: 5, To: 10}, Task: 0, Of: 1},
	} {
		data, err := serde.Encode(Messages, m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Messages.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte("\x01p\x01a\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x0apayload"))
	f.Add([]byte("\x01m\x01a\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Messages.Decode(data)
		if err != nil {
			return
		}
		again, err := serde.Encode(Messages, m)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q: %v became %q, %v", data, m, again, err)
		}
	})
}
