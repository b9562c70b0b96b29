package count

import (
	"bytes"
	"testing"

	"github.com/millrace-streams/millrace/serde"
)

func FuzzStoreRows(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05abc"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := (paneKeySerde{}).Decode(data); err == nil {
			if again, _ := (paneKeySerde{}).Append(nil, k); !bytes.Equal(again, data) {
				t.Fatalf("%q became %q", data, again)
			}
		}
		for _, counted := range []bool{false, true} {
			s := totalSerde[string]{counted: counted, value: serde.String}
			if v, err := s.Decode(data); err == nil {
				if again, _ := s.Append(nil, v); !bytes.Equal(again, data) {
					t.Fatalf("%q became %q", data, again)
				}
			}
		}
	})
}
