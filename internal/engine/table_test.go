package engine

import (
	"bytes"
	"testing"
)

func FuzzSplitRow(f *testing.F) {
	f.Add([]byte("row"))
	f.Fuzz(func(t *testing.T, row []byte) {
		if value, _, err := splitRow(row); (err == nil) != (len(row) >= 8) || err == nil && !bytes.Equal(value, row[8:]) {
			t.Fatalf("%x: %x, %v", row, value, err)
		}
	})
}

func TestPrefixEnd(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "a\xffb": "a\xffc", "\xff\xff": "", "": ""} {
		if got := PrefixEnd([]byte(prefix)); string(got) != want || want == "" && got != nil {
			t.Errorf("PrefixEnd(%q) = %q, want %q", prefix, got, want)
		}
	}
}
