package serde_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/millrace-streams/millrace/serde"
)

type tweet struct {
	ID     int64    `json:"id"`
	Author string   `json:"author"`
	Text   string   `json:"text"`
	Tags   []string `json:"tags,omitempty"`
}

func BenchmarkSerde(b *testing.B) {
	key := serde.Windowed[string]{Key: "a usual key", Window: serde.Window{Start: 60_000, End: 120_000}}
	n := int64(42)
	bench(b, "String", serde.String, "a usual key")
	bench(b, "Bytes", serde.Bytes, []byte("a usual value"))
	bench(b, "Int64", serde.Int64, 42)
	bench(b, "Float64", serde.Float64, 1.5)
	bench(b, "UUID", serde.UUID, uuid.MustParse("123e4567-e89b-12d3-a456-426614174000"))
	bench(b, "JSON", serde.JSON[tweet](), tweet{ID: 1, Author: "rmoff", Text: "streams & tables", Tags: []string{"kafka"}})
	bench(b, "JSONWith", serde.JSONWith[tweet](json.Marshal, json.Unmarshal), tweet{ID: 1, Author: "rmoff", Text: "streams & tables", Tags: []string{"kafka"}})
	bench(b, "Nullable", serde.Nullable(serde.Int64), &n)
	bench(b, "TimeWindowed", serde.TimeWindowed(serde.String, time.Minute), key)
	bench(b, "SessionWindowed", serde.SessionWindowed(serde.String), key)
}

func bench[T any](b *testing.B, name string, s serde.Serde[T], v T) {
	data, err := serde.Encode(s, v)
	if err != nil {
		b.Fatal(err)
	}
	b.Run(name+"/Append", func(b *testing.B) {
		b.ReportAllocs()
		dst := make([]byte, 0, 2*len(data))
		for b.Loop() {
			if dst, err = s.Append(dst[:0], v); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(name+"/Decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Decode(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPartition(b *testing.B) {
	b.ReportAllocs()
	key := []byte("a usual key")
	for b.Loop() {
		serde.Partition(key, 12)
	}
}
