package query_test

import (
	"fmt"
	"testing"

	"github.com/millrace-streams/millrace/internal/query"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

const benchRows = 1000

// benchmarked returns a store on disk with one partition and benchRows rows.
func benchmarked(b *testing.B) *query.Store {
	spec := state.KeyValue("st", serde.String, serde.String)
	task := storetest.New(b, 0)
	rows := state.Open(task.Processor(spec), spec)
	for i := range benchRows {
		if err := rows.Put(fmt.Sprintf("key-%04d", i), "a value of some thirty bytes...."); err != nil {
			b.Fatal(err)
		}
	}
	task.Commit()
	described, err := store.Of(spec)
	if err != nil {
		b.Fatal(err)
	}
	return &query.Store{Spec: described, Partitions: 1, ByKey: true, Held: partitions{task}}
}

func BenchmarkGet(b *testing.B) {
	s := benchmarked(b)
	key := []byte("key-0500")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := s.Get(b.Context(), key, key); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkScan reads all rows; an operation is one row.
func BenchmarkScan(b *testing.B) {
	for name, r := range map[string]query.Range{"forward": {}, "reverse": {Reverse: true}} {
		b.Run(name, func(b *testing.B) {
			s := benchmarked(b)
			b.ReportAllocs()
			for n := 0; n < b.N; n += benchRows {
				for _, err := range s.Rows(b.Context(), r) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
