package store

import (
	"bytes"
	"testing"
)

// A local key can be split into its parts, lies within the bounds of reads, and survives
// the changelog.
func FuzzSessionLayout(f *testing.F) {
	f.Add([]byte("a"), int64(0), int64(0), int64(60_000), []byte("b"))
	f.Add([]byte{}, int64(5), int64(1700000000000), int64(1), []byte("a\x00"))
	f.Add([]byte("\xff\xff"), int64(1), int64(1<<62), int64(7), []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, key []byte, start, end, interval int64, other []byte) {
		if start < 0 || end < start || interval < 1 {
			t.Skip()
		}
		l := NewSessionLayout(interval)
		local := l.AppendKey(nil, key, start, end)
		if k, s, e, ok := SplitSession(local); !ok || !bytes.Equal(k, key) || s != start || e != end {
			t.Fatalf("SplitSession = %x, %d, %d, %v", k, s, e, ok)
		}
		logged := local[SegmentBytes:]
		if k, err := loggedSession(nil, logged); err != nil || !bytes.Equal(k, key) {
			t.Fatalf("loggedSession = %x, %v", k, err)
		}
		if again := l.AppendLocal(nil, logged); !bytes.Equal(again, local) {
			t.Fatalf("AppendLocal = %x, want %x", again, local)
		}
		segment, _ := l.Segments(end, end)
		inside := func(name string, lower, upper []byte) {
			if bytes.Compare(local, lower) < 0 || bytes.Compare(local, upper) >= 0 {
				t.Fatalf("%s: %x is not in %x..%x", name, local, lower, upper)
			}
		}
		lower, upper := l.KeyBounds(segment, key, end)
		inside("KeyBounds", lower, upper)
		first, last := key, other
		if bytes.Compare(key, other) > 0 {
			first, last = other, key
		}
		lower, upper = l.RangeBounds(segment, first, last)
		inside("RangeBounds", lower, upper)
		lower, upper = l.RangeBounds(segment, first, nil)
		inside("RangeBounds above", lower, upper)
	})
}

// The keys of a changelog are untrusted input. No kind of store panics on any bytes, and
// a segmented store accepts only keys that it can have written.
func FuzzLoggedKeys(f *testing.F) {
	f.Add([]byte("short"))
	f.Add(AppendWindowKey(nil, []byte("a"), 5, 0))
	f.Add(NewSessionLayout(10).AppendKey(nil, []byte("a"), 5, 7)[SegmentBytes:])
	f.Fuzz(func(t *testing.T, key []byte) {
		for _, kind := range Kinds() {
			of, err := kind.logged(&Spec{Name: "s", Kind: kind}, key)
			if err == nil && !bytes.HasPrefix(key, of) {
				t.Fatalf("%s: the key of %x is %x", kind, key, of)
			}
		}
		if _, err := loggedSession(nil, key); err == nil {
			local := NewSessionLayout(60_000).AppendLocal(nil, key)
			if k, start, end, ok := SplitSession(local); !ok || !bytes.Equal(NewSessionLayout(60_000).AppendKey(nil, k, start, end), local) {
				t.Fatalf("%x became %x", key, local)
			}
		}
	})
}
