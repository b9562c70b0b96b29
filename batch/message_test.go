package batch

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/millrace-streams/millrace/serde"
)

func TestMessages(t *testing.T) {
	t.Parallel()
	for _, m := range []message{
		{kind: partial, name: "authors", span: span{from: 5, to: 10}, payload: []byte("abc")},
		{kind: rowOf, name: "authors-top", span: span{from: 0, to: 1 << 50}, payload: []byte{}},
		{kind: marker, name: "originals", span: span{from: 5, to: 10, live: true}, task: 2, of: 3},
		{kind: marker, name: "originals", span: span{from: 5, to: 10}, task: 0, of: 1},
	} {
		data, err := serde.Encode(messages, m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := messages.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got, cmp.AllowUnexported(message{}, span{})); diff != "" {
			t.Error(diff)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte("\x01p\x01a\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x0apayload"))
	f.Add([]byte("\x01m\x01a\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := messages.Decode(data)
		if err != nil {
			return
		}
		again, err := serde.Encode(messages, m)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%q: %v became %q, %v", data, m, again, err)
		}
	})
}

func FuzzStoreRows(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05abc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := (paneKeySerde{}).Decode(data); err == nil {
			if again, _ := (paneKeySerde{}).Append(nil, k); !bytes.Equal(again, data) {
				t.Fatalf("%q became %q", data, again)
			}
		}
		for _, counted := range []bool{false, true} {
			s := runningSerde[string]{counted: counted, value: serde.String}
			if v, err := s.Decode(data); err == nil {
				if again, _ := s.Append(nil, v); !bytes.Equal(again, data) {
					t.Fatalf("%q became %q", data, again)
				}
			}
		}
	})
}
