package state_test

import (
	"fmt"
	"testing"

	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// A store whose migration is finished costs as much as one that never had another format:
// the difference is one byte for each row, and one header for each changelog record.
func BenchmarkMigration(b *testing.B) {
	const rows = 1000
	for name, opts := range map[string][]state.Option{"none": nil, "finished": {state.Migrate(serde.Float64, func(v float64) int64 { return int64(v) })}} {
		spec := state.KeyValue("st", serde.String, serde.Int64, opts...)
		keys := make([]string, rows)
		for i := range keys {
			keys[i] = fmt.Sprintf("key-%04d", i)
		}
		b.Run(name+"/put", func(b *testing.B) {
			k := storetest.New(b, 0)
			s := state.Open(k.Processor(spec), spec)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if err := s.Put(keys[n%rows], int64(n)); err != nil {
					b.Fatal(err)
				}
				if n%rows == rows-1 {
					k.Commit()
				}
			}
		})
		b.Run(name+"/scan", func(b *testing.B) {
			k := storetest.New(b, 0)
			s := state.Open(k.Processor(spec), spec)
			for i, key := range keys {
				if err := s.Put(key, int64(i)); err != nil {
					b.Fatal(err)
				}
			}
			k.Commit()
			k.Restart() // so that the rows are not in memory
			s = state.Open(k.Processor(spec), spec)
			b.ReportAllocs()
			for b.Loop() {
				for _, err := range s.All() {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
