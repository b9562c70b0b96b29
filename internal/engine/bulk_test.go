package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

// A bulk has the effect of an ordinary batch with the same changes, on disk and in
// memory.
func TestBulkEqualsBatch(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 50, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		shared := newShared(t)
		d := openDB(t, shared, vfs.NewMem())
		batches := []*Batch{d.NewBatch(), d.NewBulk()}
		var tables [][]*Table // by batch
		for i := range batches {
			var own []*Table
			for j, persistent := range []bool{true, true, false} {
				own = append(own, table(t, d, fmt.Sprint("table", i, j), persistent))
			}
			tables = append(tables, own)
		}
		for range 5 {
			for range r.IntN(200) {
				which, key, to := r.IntN(3), smallKey(r), smallKey(r)
				what, at := r.IntN(20), r.Int64N(1000)
				value := []byte(strings.Repeat("v", r.IntN(3)))
				format := uint8(r.IntN(2))
				for i, b := range batches {
					tb := b.Table(tables[i][which])
					switch {
					case what == 0:
						check(t, tb.DeleteRange(nil, nil))
					case what == 1:
						check(t, tb.DeleteRange(key, to))
					case what < 6:
						check(t, tb.Delete(key))
					default:
						check(t, tb.Put(key, Stored{Value: value, Timestamp: at, Format: format}))
					}
				}
			}
			if r.IntN(5) == 0 {
				for _, b := range batches {
					b.Reset()
				}
			}
			for _, b := range batches {
				check(t, d.Apply(b))
			}
			for j := range tables[0] {
				want, got := rows(t, tables[0][j]), rows(t, tables[1][j])
				if !maps.Equal(got, want) {
					t.Fatalf("seed %d: table %d has %v, want %v", seed, j, got, want)
				}
			}
		}
		for _, b := range batches {
			b.Close()
		}
		check(t, d.Close())
	})
}

// smallKey returns one of few keys; some are the start of others, or long.
func smallKey(r *rand.Rand) []byte {
	key := []byte(strings.Repeat("k", r.IntN(12)))
	for range r.IntN(3) {
		key = append(key, byte(r.IntN(3)))
	}
	return key
}

// BenchmarkBulk applies many rows in an order that is not that of their keys, as a
// restore does. One operation is one row, with what the database does in the background.
func BenchmarkBulk(b *testing.B) {
	for _, bulk := range []bool{false, true} {
		b.Run(fmt.Sprintf("bulk=%v", bulk), func(b *testing.B) {
			const n = 100_000
			d := openDB(b, newShared(b), vfs.NewMem())
			tb := table(b, d, "counts", true)
			keys := countKeys(n)
			batch := d.NewBatch()
			if bulk {
				batch = d.NewBulk()
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				check(b, batch.Table(tb).Set(keys[i%n], 1, keys[0][:8]))
				if i%n == n-1 {
					check(b, d.Apply(batch))
					check(b, d.Flush())
				}
			}
			batch.Close()
			check(b, d.Close())
		})
	}
}
