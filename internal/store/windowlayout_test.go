package store

import (
	"bytes"
	"encoding/hex"
	"math"
	"testing"
)

// Vectors of Kafka Streams 4.3.1, WindowKeySchema.toStoreKeyBinary.
func TestWindowKeysAreKafkaStreams(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		key   string
		start int64
		seq   uint32
		want  string
	}{
		{"a", 0, 0, "61000000000000000000000000"},
		{"a", 10, 1, "61000000000000000a00000001"},
		{"a", 1700000000000, 7, "610000018bcfe5680000000007"},
		{"a", 9223372036854775797, 0, "617ffffffffffffff500000000"},
		{"", 1700000000000, 1, "0000018bcfe5680000000001"},
		{"key-é", 10, 7, "6b65792dc3a9000000000000000a00000007"},
	} {
		if got := hex.EncodeToString(AppendWindowKey(nil, []byte(v.key), v.start, v.seq)); got != v.want {
			t.Errorf("key %q, start %d, seq %d: %s, want %s", v.key, v.start, v.seq, got, v.want)
		}
	}
}

func TestSegmentInterval(t *testing.T) {
	t.Parallel()
	for retention, want := range map[int64]int64{0: 60_000, 1000: 60_000, 120_000: 60_000, 120_002: 60_001, 3_600_000: 1_800_000} {
		if got := SegmentInterval(retention); got != want {
			t.Errorf("retention %d: interval %d, want %d", retention, got, want)
		}
	}
}

func TestExpiredBelow(t *testing.T) {
	t.Parallel()
	l := NewWindowLayout(60_000)
	for _, c := range []struct{ time, retention, segment int64 }{
		{-1, 100_000, 0},
		{159_998, 100_000, 0}, // 59_999 is kept
		{159_999, 100_000, 1}, // 60_000 is the first that is kept
		{160_000, 100_000, 1},
		{1_000_000, 100_000, 15},
		{0, math.MaxInt64, 0},
	} {
		below := l.ExpiredBelow(c.time, c.retention)
		if c.segment == 0 {
			if below != nil {
				t.Errorf("%+v: %x", c, below)
			}
			continue
		}
		if want := l.AppendKey(nil, nil, c.segment*l.Interval, 0)[:8]; !bytes.Equal(below, want) || l.FirstTime(below) != c.segment*l.Interval {
			t.Errorf("%+v: %x, want %x", c, below, want)
		}
	}
}

// A local key can be split into its parts, lies within the bounds of reads, and survives
// the changelog.
func FuzzWindowLayout(f *testing.F) {
	f.Add([]byte("a"), int64(0), uint32(0), int64(60_000), []byte("b"))
	f.Add([]byte{}, int64(1700000000000), uint32(1), int64(1), []byte("a\x00"))
	f.Add([]byte("\x00\x00"), int64(math.MaxInt64), uint32(math.MaxUint32), int64(7), []byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, key []byte, start int64, seq uint32, interval int64, other []byte) {
		if start < 0 || interval < 1 {
			t.Skip()
		}
		l := NewWindowLayout(interval)
		local := l.AppendKey(nil, key, start, seq)
		k, s, n, ok := SplitLocal(local)
		if !ok || !bytes.Equal(k, key) || s != start || n != seq {
			t.Fatalf("SplitLocal = %x, %d, %d, %v", k, s, n, ok)
		}
		again, err := l.AppendLocal(nil, local[SegmentBytes:])
		if err != nil || !bytes.Equal(again, local) {
			t.Fatalf("AppendLocal = %x, %v, want %x", again, err, local)
		}
		segment, _ := l.Segments(start, start)
		inside := func(name string, lower, upper []byte) {
			if bytes.Compare(local, lower) < 0 || bytes.Compare(local, upper) >= 0 {
				t.Fatalf("%s: %x is not in %x..%x", name, local, lower, upper)
			}
		}
		lower, upper := l.KeyBounds(segment, key, start, start)
		inside("KeyBounds", lower, upper)
		lower, upper = l.RangeBounds(segment, nil, nil, start)
		inside("RangeBounds of all", lower, upper)
		first, last := key, other
		if bytes.Compare(key, other) > 0 {
			first, last = other, key
		}
		lower, upper = l.RangeBounds(segment, first, last, start)
		inside("RangeBounds", lower, upper)
		if lower, upper := l.RangeBounds(segment, first, nil, start); bytes.Compare(key, first) >= 0 {
			inside("RangeBounds above", lower, upper)
		}
	})
}

// The keys of a changelog are untrusted input.
func FuzzAppendLocal(f *testing.F) {
	f.Add([]byte("short"))
	f.Add(AppendWindowKey(nil, []byte("a"), 5, 0))
	f.Add(AppendWindowKey(nil, []byte("a"), -5, 0))
	f.Fuzz(func(t *testing.T, key []byte) {
		local, err := NewWindowLayout(60_000).AppendLocal(nil, key)
		if err != nil {
			return
		}
		k, start, seq, ok := SplitLocal(local)
		if !ok || !bytes.Equal(AppendWindowKey(nil, k, start, seq), key) {
			t.Fatalf("%x became %x", key, local)
		}
	})
}

func FuzzSplitLocal(f *testing.F) {
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, local []byte) {
		key, start, seq, ok := SplitLocal(local)
		if ok && !bytes.Equal(AppendWindowKey(bytes.Clone(local[:SegmentBytes]), key, start, seq), local) {
			t.Fatalf("%x is %x, %d, %d", local, key, start, seq)
		}
	})
}
