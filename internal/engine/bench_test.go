package engine

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// countKeys returns n keys of 16 bytes.
func countKeys(n int) [][]byte {
	keys := make([][]byte, n)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key-%012d", i*7919%n)
	}
	return keys
}

func benchCells(b *testing.B, persistent bool) (*cellTask, *Cells[string, int64]) {
	k := newCellTask(b, 0, persistent)
	env := k.env()
	env.Log = func([]byte, []byte, int64, *Origin) error { return nil }
	c := NewCells(CellsConfig[string, int64]{Store: "st", Env: env, Value: number{}})
	b.Cleanup(c.Close)
	return k, c
}

func count(b *testing.B, c *Cells[string, int64], key []byte) {
	cell, err := c.Load(key, "")
	if err == nil {
		err = c.Set(cell, cell.Value+1, true, 1, Origin{Topic: "in", Offset: 1})
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCount counts by key. One operation is one record, with a commit for each
// 10,000 records, as at 100,000 records a second.
func BenchmarkCount(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		for _, persistent := range []bool{true, false} {
			b.Run(fmt.Sprintf("keys=%d/persistent=%v", n, persistent), func(b *testing.B) {
				k, c := benchCells(b, persistent)
				keys := countKeys(n)
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					count(b, c, keys[i%n])
					if i%10_000 == 9999 {
						k.commit(b, c)
					}
				}
			})
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	_, c := benchCells(b, true)
	keys := countKeys(1000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		count(b, c, keys[i%len(keys)])
	}
}

func BenchmarkNewKey(b *testing.B) {
	k, c := benchCells(b, true)
	key := make([]byte, 16)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		binary.BigEndian.PutUint64(key, uint64(i)*0x9e3779b97f4a7c15) // in no order
		count(b, c, key)
		if i%10_000 == 9999 {
			k.commit(b, c)
		}
	}
}

// BenchmarkFlush measures a commit, per changed row.
func BenchmarkFlush(b *testing.B) {
	k, c := benchCells(b, true)
	keys := countKeys(10_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(keys) == 0 {
			b.StopTimer()
			for _, key := range keys {
				count(b, c, key)
			}
			b.StartTimer()
			k.commit(b, c)
		}
	}
}

func BenchmarkRange(b *testing.B) {
	for _, persistent := range []bool{true, false} {
		b.Run(fmt.Sprintf("rows=10/persistent=%v", persistent), func(b *testing.B) {
			k, c := benchCells(b, persistent)
			keys := countKeys(10_000)
			for i, key := range keys {
				count(b, c, key)
				if i == 9000 {
					k.commit(b, c)
				}
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				lower := keys[i%len(keys)]
				n := 0
				for _, err := range c.Range(lower, nil, false) {
					if n++; err != nil || n == 10 {
						break
					}
				}
			}
		})
	}
}

func BenchmarkTableGet(b *testing.B) {
	for _, persistent := range []bool{true, false} {
		b.Run(fmt.Sprintf("persistent=%v", persistent), func(b *testing.B) {
			k, c := benchCells(b, persistent)
			keys := countKeys(100_000)
			for _, key := range keys {
				count(b, c, key)
			}
			k.commit(b, c)
			check(b, k.db.Flush())
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, ok, err := k.table.Get(keys[i%len(keys)]); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
