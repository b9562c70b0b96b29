package engine

import (
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestReaderWhileApplied reads from several goroutines while batches are applied. Each
// batch sets all rows to one number, so a reader never sees a number that is smaller than
// one that it has seen.
func TestReaderWhileApplied(t *testing.T) {
	t.Parallel()
	for name, persistent := range map[string]bool{"on disk": true, "in memory": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := openDB(t, newShared(t), vfs.NewMem())
			defer db.Close()
			table := table(t, db, "regions", persistent)
			r, err := db.Reader("regions")
			if err != nil {
				t.Fatal(err)
			}
			keys := [][]byte{[]byte("a"), []byte("b"), []byte("c")}
			const rounds = 300
			var readers sync.WaitGroup
			for range 3 {
				readers.Go(func() { readUpwards(t, r, keys, rounds) })
			}
			b := db.NewBatch()
			defer b.Close()
			for n := range rounds {
				for _, k := range keys {
					if err := b.Table(table).Set(k, int64(n), fmt.Append(nil, n)); err != nil {
						t.Fatal(err)
					}
				}
				if err := db.Apply(b); err != nil {
					t.Fatal(err)
				}
			}
			readers.Wait()
		})
	}
}

// readUpwards reads until it sees the last number.
func readUpwards(t *testing.T, r *Reader, keys [][]byte, rounds int64) {
	var buffer []byte
	last, version := int64(-1), uint64(0)
	for last < rounds-1 {
		before := r.Version()
		if before < version {
			t.Errorf("version %d after %d", before, version)
		}
		version = before
		for _, k := range keys {
			value, at, ok, err := r.Get(buffer[:0], k)
			if err != nil {
				t.Error(err)
				return
			}
			if !ok {
				continue
			}
			if string(value) != fmt.Sprint(at) || at < last {
				t.Errorf("%s is %s at %d after %d", k, value, at, last)
				return
			}
			buffer, last = value, at
		}
	}
}

func TestReaderSeesDeletions(t *testing.T) {
	t.Parallel()
	for name, persistent := range map[string]bool{"on disk": true, "in memory": false} {
		db := openDB(t, newShared(t), vfs.NewMem())
		defer db.Close()
		table := table(t, db, "regions", persistent)
		r, err := db.Reader("regions")
		if err != nil {
			t.Fatal(err)
		}
		b := db.NewBatch()
		defer b.Close()
		set := b.Table(table).Set([]byte("a"), 1, []byte{})
		if err := db.Apply(b); err != nil || set != nil {
			t.Fatal(err, set)
		}
		if value, at, ok, err := r.Get(nil, []byte("a")); len(value) > 0 || at != 1 || !ok || err != nil {
			t.Errorf("%s: %q %d %v %v", name, value, at, ok, err)
		}
		before := r.Version()
		if err := db.Wipe(table, "", "test"); err != nil {
			t.Fatal(err)
		}
		if _, _, ok, err := r.Get(nil, []byte("a")); ok || err != nil || r.Version() == before {
			t.Errorf("%s: after a wipe: %v %v, version %d after %d", name, ok, err, r.Version(), before)
		}
	}
}
