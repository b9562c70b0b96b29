//go:build !race

// The race detector makes sync.Pool drop objects at random, so this file is built without
// it.

package serde_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace-streams/millrace/serde"
)

func TestAllocations(t *testing.T) {
	key := serde.Windowed[string]{Key: "a usual key", Window: serde.Window{Start: 60_000, End: 120_000}}
	n := int64(42)
	allocates(t, serde.String, "a usual key", 0, 1)
	allocates(t, serde.Bytes, []byte("a usual value"), 0, 1)
	allocates(t, serde.Int16, 1, 0, 0)
	allocates(t, serde.Int32, 1, 0, 0)
	allocates(t, serde.Int64, 1, 0, 0)
	allocates(t, serde.Float32, 1, 0, 0)
	allocates(t, serde.Float64, 1, 0, 0)
	allocates(t, serde.Bool, true, 0, 0)
	allocates(t, serde.UUID, uuid.Max, 0, 0)
	allocates(t, serde.Nullable(serde.Int64), &n, 0, 1)
	allocates(t, serde.TimeWindowed(serde.String, time.Minute), key, 0, 1)
	allocates(t, serde.SessionWindowed(serde.String), key, 0, 1)
	// Decode allocates the strings and slices in the value only.
	allocates(t, serde.JSON[tweet](), tweet{ID: 1, Author: "rmoff", Text: "streams & tables"}, 0, 2)
	allocates(t, serde.JSON[tweet](), tweet{Text: "tags", Tags: []string{"kafka", "go"}}, 0, 4)
}

// allocates checks the largest number of allocations: of Append into a slice with enough
// room, and of Decode.
func allocates[T any](t *testing.T, s serde.Serde[T], v T, appends, decodes float64) {
	t.Helper()
	data, err := serde.Encode(s, v)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, 0, 2*len(data))
	if n := testing.AllocsPerRun(100, func() { dst, _ = s.Append(dst[:0], v) }); n > appends {
		t.Errorf("%v: Append allocates %v times, want %v", s, n, appends)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Decode(data) }); n > decodes {
		t.Errorf("%v: Decode allocates %v times, want %v", s, n, decodes)
	}
}
