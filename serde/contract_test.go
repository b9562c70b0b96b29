package serde_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/serde/serdetest"
)

// person has every kind of field that could share memory with the decoded data.
type person struct {
	Name   string            `json:"name"`
	Age    int               `json:"age,omitempty"`
	Photo  []byte            `json:"photo,omitempty"`
	Raw    any               `json:"raw,omitempty"`
	Tags   map[string]string `json:"tags,omitempty"`
	Friend *person           `json:"friend,omitempty"`
}

var persons = []person{
	{},
	{Name: "<Ann & Bob>", Age: 42},
	{Name: "日本語 \u2028 \"quoted\" \\", Photo: []byte{0, 1, 255}, Raw: []any{"x", 1.5, nil}},
	{Tags: map[string]string{"b": "2", "a": "1"}, Friend: &person{Name: strings.Repeat("long ", 200)}},
}

func TestContract(t *testing.T) {
	t.Parallel()
	words := []string{"", "a", "日本語", "a\x00b", "not UTF-8: \xff\xfe", strings.Repeat("x", 1000)}
	u := uuid.MustParse("123e4567-e89b-12d3-a456-426614174000")

	contract(t, "string", serde.String, words...)
	contract(t, "bytes", serde.Bytes, []byte{}, []byte("a"), []byte{0, 255})
	contract(t, "int16", serde.Int16, 0, 1, -1, math.MaxInt16, math.MinInt16)
	contract(t, "int32", serde.Int32, 0, 1, -1, math.MaxInt32, math.MinInt32)
	contract(t, "int64", serde.Int64, 0, 1, -1, math.MaxInt64, math.MinInt64)
	contract(t, "float32", serde.Float32, 0, -1.5, math.MaxFloat32, math.SmallestNonzeroFloat32, float32(math.Inf(-1)))
	contract(t, "float64", serde.Float64, 0, -1.5, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(-1))
	contract(t, "bool", serde.Bool, false, true)
	contract(t, "uuid", serde.UUID, uuid.Nil, u, uuid.Max)

	contract(t, "json struct", serde.JSON[person](), persons...)
	contract(t, "json pointer", serde.JSON[*person](), &persons[0], &persons[1], nil)
	contract(t, "json slice", serde.JSON[[]int](), nil, []int{}, []int{1, 2})
	contract(t, "json text", serde.JSON[string](), "", "<&>", "\n")
	contract[any](t, "json any", serde.JSON[any](), nil, "a", 1.5, map[string]any{"a": []any{true}})

	contract(t, "json with a codec", serde.JSONWith[person](json.Marshal, json.Unmarshal), persons...)
	contract(t, "json pointer with a codec", serde.JSONWith[*person](json.Marshal, json.Unmarshal), &persons[1], nil)

	contract(t, "nullable string", serde.Nullable(serde.String), pointers(words...)...)
	contract(t, "nullable json", serde.Nullable(serde.JSON[person]()), pointers(persons...)...)

	const minute = time.Minute
	contract(t, "time windowed", serde.TimeWindowed(serde.String, minute), windowed(60_000, words...)...)
	contract(t, "session windowed", serde.SessionWindowed(serde.String), windowed(17, words...)...)
	contract(t, "session of an instant", serde.SessionWindowed(serde.Int64), windowed(0, int64(1), -1)...)
	contract(t, "time windowed json", serde.TimeWindowed(serde.JSON[string](), minute), windowed(60_000, "a", "b")...)
	contract(t, "time windowed nullable", serde.TimeWindowed(serde.Nullable(serde.String), minute), windowed(60_000, pointers(words...)...)...)
	contract(t, "session windowed nullable", serde.SessionWindowed(serde.Nullable(serde.String)), windowed(17, pointers(words...)...)...)
	contract(t, "nullable time windowed", serde.Nullable(serde.TimeWindowed(serde.String, minute)), pointers(windowed(60_000, words...)...)...)
	contract(t, "windowed twice", serde.TimeWindowed(serde.SessionWindowed(serde.String), minute), windowed(60_000, windowed(17, words...)...)...)
}

func contract[T any](t *testing.T, name string, s serde.Serde[T], values ...T) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		serdetest.Run(t, s, values...)
	})
}

func pointers[T any](values ...T) []*T {
	out := make([]*T, len(values))
	for i := range values {
		out[i] = &values[i]
	}
	return out
}

// windowed puts each key in a window of the given length in milliseconds. Every window
// has a different start.
func windowed[K any](length int64, keys ...K) []serde.Windowed[K] {
	out := make([]serde.Windowed[K], len(keys))
	for i, key := range keys {
		start := int64(i) * 1_700_000_000_000
		out[i] = serde.Windowed[K]{Key: key, Window: serde.Window{Start: start, End: start + length}}
	}
	return out
}
