package serde_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/serde"
)

func isOptional[T any](s serde.Serde[T]) bool {
	_, ok := s.(serde.Optional[T])
	return ok
}

func isPartitioned[T any](s serde.Serde[T]) bool {
	_, ok := s.(serde.Partitioned[T])
	return ok
}

// A wrapper is Optional or Partitioned if the wrapped serde is. If a windowed key were
// Optional without need, functions would be called for absent keys.
func TestWrappersKeepOptionalAndPartitioned(t *testing.T) {
	t.Parallel()
	text, nullable := serde.String, serde.Nullable(serde.String)
	const size = time.Second
	tests := []struct {
		name                  string
		optional, partitioned bool
		have                  [2]bool
	}{
		{"string", false, false, [2]bool{isOptional(text), isPartitioned(text)}},
		{"nullable", true, false, [2]bool{isOptional(nullable), isPartitioned(nullable)}},
		{"json pointer", false, false, [2]bool{isOptional(serde.JSON[*int]()), isPartitioned(serde.JSON[*int]())}},
		{"time windowed", false, true, have(serde.TimeWindowed(text, size))},
		{"session windowed", false, true, have(serde.SessionWindowed(text))},
		{"time windowed nullable", true, true, have(serde.TimeWindowed(nullable, size))},
		{"session windowed nullable", true, true, have(serde.SessionWindowed(nullable))},
		{"nullable time windowed", true, true, have(serde.Nullable(serde.TimeWindowed(text, size)))},
		{"nullable nullable", true, false, have(serde.Nullable(nullable))},
		{"windowed twice", true, true, have(serde.TimeWindowed(serde.SessionWindowed(nullable), size))},
	}
	for _, test := range tests {
		if want := [2]bool{test.optional, test.partitioned}; test.have != want {
			t.Errorf("%s: optional and partitioned are %v, want %v", test.name, test.have, want)
		}
	}
}

func have[T any](s serde.Serde[T]) [2]bool { return [2]bool{isOptional(s), isPartitioned(s)} }

func TestAbsentThroughWrappers(t *testing.T) {
	t.Parallel()
	a := "a"
	nullable := serde.Nullable(serde.String)
	check := func(name string, have, want bool) {
		if have != want {
			t.Errorf("%s: absent is %v", name, have)
		}
	}
	check("nil", absent(nullable, nil), true)
	check("pointer", absent(nullable, &a), false)

	windowed := serde.TimeWindowed(nullable, time.Second)
	in := serde.Window{Start: 1000, End: 2000}
	check("windowed nil", absent(windowed, serde.Windowed[*string]{Window: in}), true)
	check("windowed pointer", absent(windowed, serde.Windowed[*string]{Key: &a, Window: in}), false)
	if err := encodeError(windowed, serde.Windowed[*string]{Window: in}); err == nil {
		t.Error("a windowed key without a key was encoded")
	}

	twice := serde.Nullable(nullable)
	var none *string
	check("pointer to nil", absent(twice, &none), true)
	some := &a
	check("pointer to pointer", absent(twice, &some), false)

	around := serde.Nullable(serde.TimeWindowed(serde.String, time.Second))
	if _, err := serde.AppendPartitionKey(nil, around, nil); err == nil {
		t.Error("an absent key has a partition key")
	}
}

func absent[T any](s serde.Serde[T], v T) bool { return s.(serde.Optional[T]).Absent(v) }

func TestPartitionKey(t *testing.T) {
	t.Parallel()
	const size = time.Second
	w := serde.Window{Start: 5, End: 1005}
	key := serde.Windowed[string]{Key: "key", Window: w}
	partitionKeyIs(t, serde.String, "key", "key")
	partitionKeyIs(t, serde.TimeWindowed(serde.String, size), key, "key")
	partitionKeyIs(t, serde.SessionWindowed(serde.String), key, "key")
	partitionKeyIs(t, serde.Nullable(serde.TimeWindowed(serde.String, size)), &key, "key")
	// If the key is windowed itself, its whole encoding is hashed, as in Kafka Streams.
	partitionKeyIs(t, serde.SessionWindowed(serde.TimeWindowed(serde.String, size)),
		serde.Windowed[serde.Windowed[string]]{Key: key, Window: w}, "key\x00\x00\x00\x00\x00\x00\x00\x05")
}

func partitionKeyIs[T any](t *testing.T, s serde.Serde[T], v T, want string) {
	t.Helper()
	got, err := serde.AppendPartitionKey([]byte("dst "), s, v)
	if err != nil || string(got) != "dst "+want {
		t.Errorf("%v of %v: have %q, %v, want %q", s, v, got, err, want)
	}
}

func TestEndOfTimeWindows(t *testing.T) {
	t.Parallel()
	const longest = math.MaxInt64
	tests := []struct {
		size       time.Duration
		start, end int64
	}{
		{time.Second, 0, 1000},
		{time.Second, longest - 1000, longest},
		{time.Second, longest - 999, longest},
		{time.Second, longest, longest},
		{longest, 0, longest},
		{longest, 5000, longest},
		{longest / 1_000_000 * 1_000_000, 0, longest / 1_000_000},
	}
	for _, test := range tests {
		got, err := serde.TimeWindowed(serde.String, test.size).Decode(binary.BigEndian.AppendUint64([]byte("a"), uint64(test.start)))
		want := serde.Windowed[string]{Key: "a", Window: serde.Window{Start: test.start, End: test.end}}
		if err != nil || got != want {
			t.Errorf("size %v: have %v, %v, want %v", test.size, got, err, want)
		}
	}
}

func TestDescriptions(t *testing.T) {
	t.Parallel()
	tests := map[string]any{
		"string":                           serde.String,
		"bytes":                            serde.Bytes,
		"int16":                            serde.Int16,
		"int32":                            serde.Int32,
		"int64":                            serde.Int64,
		"float32":                          serde.Float32,
		"float64":                          serde.Float64,
		"bool":                             serde.Bool,
		"uuid":                             serde.UUID,
		"json serde_test.person":           serde.JSON[person](),
		"nullable string":                  serde.Nullable(serde.String),
		"time-windowed (1m0s) int64":       serde.TimeWindowed(serde.Int64, time.Minute),
		"session-windowed string":          serde.SessionWindowed(serde.String),
		"session-windowed nullable int64":  serde.SessionWindowed(serde.Nullable(serde.Int64)),
		"time-windowed (unlimited) string": serde.TimeWindowed(serde.String, math.MaxInt64),
	}
	for want, s := range tests {
		if have := fmt.Sprint(s); have != want {
			t.Errorf("have %q, want %q", have, want)
		}
	}
}

func TestWindowMethods(t *testing.T) {
	t.Parallel()
	w := serde.Windowed[string]{Key: "alice", Window: serde.Window{Start: 1_700_000_000_123, End: math.MaxInt64}}
	if have := w.StartTime().Format(time.RFC3339Nano); have != "2023-11-14T22:13:20.123Z" {
		t.Errorf("start is %s", have)
	}
	if have := w.EndTime().UnixMilli(); have != math.MaxInt64 {
		t.Errorf("end is %d", have)
	}
	if have := fmt.Sprint(w); have != "[alice@1700000000123/9223372036854775807]" {
		t.Errorf("have %s", have)
	}
}
