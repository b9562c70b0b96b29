package batch_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topologytest"
)

type letters = map[string]int

func addLetter(s letters, w string) letters { s[w]++; return s }

func mergeLetters(a, b letters) letters {
	for w, n := range b {
		a[w] += n
	}
	return a
}

func removeLetters(total, leaving letters) letters {
	for w, n := range leaving {
		if total[w] -= n; total[w] == 0 {
			delete(total, w)
		}
	}
	return total
}

// windowRows collects the rows of a window for each batch.
func windowRows[V any](to map[int64]string, r batch.Result[string, V]) {
	r.ForEach(func(b batch.Batch, rows []batch.Row[string, V]) error {
		to[b.End.UnixMilli()] = fmt.Sprint(rows)
		return nil
	})
}

// TestInverse: a window has the same rows with an inverse and without, over random
// traffic, crashes and lost disks.
func TestInverse(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 10, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 2))
		got := map[string]map[int64]string{"sum": {}, "sum inverse": {}, "set": {}, "set inverse": {}}
		d := start(t, func(five words) {
			sum := func(a, b int64) int64 { return a + b }
			less := func(total, leaving int64) int64 { return total - leaving }
			lengths := batch.MapValues(five, func(w string) int64 { return int64(len(w)) }, serde.Int64)
			windowRows(got["sum"], batch.ReduceByKey(lengths, "sum", sum).Window(15*time.Second))
			windowRows(got["sum inverse"], batch.ReduceByKey(lengths, "sum-inverse", sum, batch.Inverse(less)).Window(15*time.Second))

			none, sets := func() letters { return letters{} }, serde.JSON[letters]()
			windowRows(got["set"], batch.AggregateByKey(five, "set", none, addLetter, mergeLetters, sets, nil).Window(15*time.Second))
			windowRows(got["set inverse"], batch.AggregateByKey(five, "set-inverse", none, addLetter, mergeLetters, sets, batch.Inverse(removeLetters)).Window(15*time.Second))
		})
		const batches = 20
		for range batches {
			for range r.IntN(6) {
				w := strings.Repeat(string(rune('a'+r.IntN(3))), 1+r.IntN(3))
				d.in.Send(w[:1], w, d.Now())
			}
			if r.IntN(4) == 0 {
				disk := []topologytest.Disk{topologytest.KeepDisk, topologytest.LoseDisk, topologytest.StaleDisk, topologytest.TearDisk(r.Uint64())}[r.IntN(4)]
				d.Crash([]string{"sum", "sum-inverse", "set", "set-inverse"}[r.IntN(4)], 0, disk)
			}
			d.Advance(5 * time.Second)
		}
		for _, of := range []string{"sum", "set"} {
			if want, have := got[of], got[of+" inverse"]; len(want) != batches || !maps.Equal(want, have) {
				for _, end := range slices.Sorted(maps.Keys(want)) {
					t.Errorf("%s at %d: %s without an inverse, %s with one", of, end, want[end], have[end])
				}
			}
		}
	})
}

func TestFlatMap(t *testing.T) {
	t.Parallel()
	got := map[int64]string{}
	d := start(t, func(five words) {
		byLetter := func(r processor.Record[string, string]) (out []processor.Record[string, int64]) {
			for _, c := range r.Value {
				out = append(out, processor.NewRecord(string(c), int64(len(r.Value)), r.Timestamp))
			}
			return out
		}
		lengths := batch.FlatMap(five, byLetter, serde.String, serde.Int64)
		windowRows(got, batch.ReduceByKey(lengths, "lengths", func(a, b int64) int64 { return a + b }))
	})
	d.send("ab", "bcb", "")
	d.Advance(5 * time.Second)
	if want := "[{a 2} {b 8} {c 3}]"; len(got) != 1 || got[1_000_005_000] != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
