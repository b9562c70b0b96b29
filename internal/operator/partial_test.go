package operator

import (
	"testing"

	"github.com/millrace-streams/millrace/processor"
)

// The headers of a repartition topic are untrusted input: a record has any headers of the
// user, and a later version may have written a partial.
func FuzzPartialHeaders(f *testing.F) {
	f.Add("mine", []byte("v"), []byte{partialVersion})
	f.Add(partialHeader, []byte{partialVersion}, []byte{})
	f.Add(partialHeader, []byte{2}, []byte{1, 1})
	f.Fuzz(func(t *testing.T, key string, value, mark []byte) {
		user := processor.Headers{{Key: key, Value: value}}
		if isPartial(unmarked(user)) {
			t.Fatalf("%v counts as a partial", unmarked(user))
		}
		if sent := marked(user); !isPartial(sent) || checkPartial(sent) != nil || len(unmarked(sent)) != len(unmarked(user)) {
			t.Fatalf("%v became %v", user, sent)
		}
		known := len(mark) == 1 && mark[0] == partialVersion
		if err := checkPartial(append(user, processor.Header{Key: partialHeader, Value: mark})); (err == nil) != known {
			t.Fatalf("mark %v: %v", mark, err)
		}
	})
}
