package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

func TestKeySet(t *testing.T) {
	t.Parallel()
	var s keySet
	const n = 30_000
	for i := range n {
		hash := hashOf(fmt.Append(nil, i))
		if s.has(hash) {
			continue
		}
		if s.full() {
			before, size := s.bytes(), s.next()
			if s.grow(); s.bytes() != before+size {
				t.Fatalf("grew by %d bytes, %d announced", s.bytes()-before, size)
			}
		}
		s.add(hash)
	}
	for i := range n {
		if !s.has(hashOf(fmt.Append(nil, i))) {
			t.Fatalf("key %d is missing", i)
		}
	}
	wrong := 0
	for i := range n {
		if s.has(hashOf(fmt.Append(nil, n+i))) {
			wrong++
		}
	}
	if wrong > n/10 {
		t.Errorf("%d of %d keys that are not there may be there", wrong, n)
	}
	if s.bytes() > 6*n {
		t.Errorf("%d bytes for %d keys", s.bytes(), n)
	}
}

// keyFilterTest is a table on a disk that outlives its databases.
type keyFilterTest struct {
	*testing.T
	fs     vfs.FS
	shared *Shared
	off    bool
	db     *DB
	table  *Table
}

func (k *keyFilterTest) open() {
	var err error
	k.db, err = Open(Options{Dir: "task", FS: k.fs, Shared: k.shared, NoShortcuts: k.off})
	if err == nil {
		k.table, err = k.db.Table("t", true)
	}
	if err != nil {
		k.Fatal(err)
	}
}

func (k *keyFilterTest) apply(change func(*TableBatch) error) {
	k.Helper()
	b := k.db.NewBatch()
	defer b.Close()
	if err := change(b.Table(k.table)); err != nil {
		k.Fatal(err)
	}
	if err := k.db.Apply(b); err != nil {
		k.Fatal(err)
	}
}

func (k *keyFilterTest) has(i int) bool {
	k.Helper()
	_, ok, err := k.table.Get(fmt.Append(nil, i))
	if err != nil {
		k.Fatal(err)
	}
	return ok
}

// known waits until the rows of an existing table have been read.
func (k *keyFilterTest) known() {
	k.Helper()
	for i := range missesToRead {
		k.has(-1 - i)
	}
	k.db.background.Wait()
}

// Rows are written, deleted, dropped with their batch, wiped, and read after the database
// is opened again. Reads always agree with a map.
func TestKnownKeysAgainstAMap(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 20, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 0))
		k := &keyFilterTest{T: t, fs: vfs.NewMem(), shared: NewShared(minMemory), off: seed%10 == 9}
		k.open()
		want, keys := map[int]bool{}, 1+rng.IntN(2000)
		for range 30 {
			switch rng.IntN(10) {
			case 0:
				if err := k.db.Close(); err != nil {
					t.Fatal(err)
				}
				if n := k.shared.filters.Load(); n != 0 {
					t.Errorf("seed %d: %d bytes are counted after Close", seed, n)
				}
				k.open()
			case 1:
				if rng.IntN(3) == 0 {
					if err := k.db.Wipe(k.table, "", "test"); err != nil {
						t.Fatal(err)
					}
					clear(want)
				}
			case 2:
				if rng.IntN(3) == 0 {
					k.apply(func(b *TableBatch) error { return b.DeleteRange([]byte("3"), []byte("4")) })
					for i := range want {
						if fmt.Sprint(i)[0] == '3' {
							delete(want, i)
						}
					}
				}
			case 3:
				k.known()
			case 4: // a batch that is dropped
				b := k.db.NewBatch()
				if err := b.Table(k.table).Set(fmt.Append(nil, rng.IntN(keys)), 1, nil); err != nil {
					t.Fatal(err)
				}
				b.Close()
			default:
				k.apply(func(b *TableBatch) (err error) {
					for range rng.IntN(500) {
						i := rng.IntN(keys)
						if rng.IntN(3) == 0 {
							delete(want, i)
							err = b.Delete(fmt.Append(nil, i))
						} else {
							want[i] = true
							err = b.Set(fmt.Append(nil, i), 1, []byte("v"))
						}
						if err != nil {
							return err
						}
					}
					return nil
				})
			}
			for range 100 {
				if i := rng.IntN(keys); k.has(i) != want[i] {
					t.Fatalf("seed %d: row %d is there: %v, want %v", seed, i, !want[i], want[i])
				}
			}
		}
		if err := k.db.Close(); err != nil {
			t.Fatal(err)
		}
		k.shared.Close()
	})
}

// A new table answers misses from the start. An existing table does so after some misses.
// If the memory is used up, every key may exist.
func TestKnownKeysAnswerMisses(t *testing.T) {
	t.Parallel()
	k := &keyFilterTest{T: t, fs: vfs.NewMem(), shared: NewShared(0)}
	write := func(from, to int) {
		k.apply(func(b *TableBatch) error {
			for i := from; i < to; i++ {
				if err := b.Set(fmt.Append(nil, i), time.Now().UnixMilli(), nil); err != nil {
					return err
				}
			}
			return nil
		})
	}
	lacks := func() (n int) {
		for i := range 1000 {
			if k.table.known.lacks(fmt.Append(nil, -1-i)) {
				n++
			}
		}
		return n
	}
	k.open()
	write(0, 20_000)
	if n := lacks(); n < 900 {
		t.Errorf("new table: %d of 1000 misses are known", n)
	}
	if err := k.db.Close(); err != nil {
		t.Fatal(err)
	}
	k.open()
	write(20_000, 20_100)
	if n := lacks(); n != 0 {
		t.Errorf("opened again: %d misses are known before the rows have been read", n)
	}
	k.known()
	if n := lacks(); n < 900 {
		t.Errorf("opened again: %d of 1000 misses are known", n)
	}
	k.shared.memory = 0 // no more memory is available
	write(30_000, 60_000)
	if n := lacks(); n != 0 || !k.has(59_999) {
		t.Errorf("without memory: %d misses are known", n)
	}
	if err := k.db.Close(); err != nil {
		t.Fatal(err)
	}
	if n := k.shared.filters.Load(); n != 0 {
		t.Errorf("%d bytes are counted after Close", n)
	}
	k.shared.Close()
}
