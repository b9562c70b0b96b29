package query_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/query"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/windowstore"
)

// partitions are the tasks of a store, by partition. A nil task is held by another
// process.
type partitions []*storetest.Task

func (p partitions) Readable() (readable []int32) {
	for i, k := range p {
		if k != nil {
			readable = append(readable, int32(i))
		}
	}
	return readable
}

func (p partitions) Snapshot(i int32) (*engine.Snapshot, error) {
	if p[i] == nil {
		return nil, fmt.Errorf("partition %d: %w", i, query.ErrNotHere)
	}
	return p[i].DB.Snapshot()
}

const parts = 3

// world is a store under test, and the rows that it must have.
type world struct {
	tasks partitions
	store *query.Store
	model []modelRow
}

// modelRow is a row of the model. start is 0 without windows.
type modelRow struct {
	partition int32
	segment   int64
	key       string
	start     int64
	seq       uint32 // of the put in its partition, which orders duplicates
	value     string
	at        int64
}

// newWorld opens the store in each task, in several versions of the program, one after
// the other.
func newWorld[S processor.StoreSpec, H any](t *testing.T, byKey bool, open func(processor.Context[string, string], S) H, versions ...S) (*world, []H) {
	w := &world{tasks: make(partitions, parts)}
	stores := make([]H, parts)
	for i := range w.tasks {
		w.tasks[i] = storetest.New(t, 0)
		for n, spec := range versions {
			if n > 0 {
				w.tasks[i].Restart()
			}
			stores[i] = open(w.tasks[i].Processor(spec), spec)
		}
	}
	spec, err := store.Of(versions[len(versions)-1])
	if err != nil {
		t.Fatal(err)
	}
	w.store = &query.Store{Spec: spec, Partitions: parts, ByKey: byKey, Held: w.tasks}
	return w, stores
}

// The keys begin like each other, sort at both ends, and end like window starts.
var keys = []string{"", "a", "a\x00", "ab", "ab\xff", "b", "\xff", "\xff\xff", "a\x00\x00\x00\x00\x00\x00\x00\x00", "a\x00\x00\x00\x00\x00\x00\xea\x60\x00\x00\x00\x00"}

// partitionOf returns a partition for a row.
func (w *world) partitionOf(r *rand.Rand, key string) int32 {
	if w.store.ByKey {
		return serde.Partition([]byte(key), parts)
	}
	return r.Int32N(parts)
}

func (w *world) commit() {
	for _, k := range w.tasks {
		k.Commit()
	}
}

// set changes the model.
func (w *world) set(row modelRow, present bool) {
	if !w.store.Spec.Duplicates {
		w.model = slices.DeleteFunc(w.model, func(o modelRow) bool {
			return o.partition == row.partition && o.key == row.key && o.start == row.start
		})
	}
	if present {
		w.model = append(w.model, row)
	}
}

// sort puts the rows of the model into the order of the store.
func (w *world) sort() {
	slices.SortFunc(w.model, func(a, b modelRow) int {
		return cmp.Or(cmp.Compare(a.partition, b.partition), cmp.Compare(a.segment, b.segment), bytes.Compare(w.stored(a), w.stored(b)))
	})
}

// stored returns the key in the changelog, which orders the rows of a segment.
func (w *world) stored(row modelRow) []byte {
	key := []byte(w.keyOf(row))
	if !w.store.Spec.Kind.Segmented {
		return key
	}
	return binary.BigEndian.AppendUint32(key, row.seq)
}

// keyOf returns the key of a row as queries write it.
func (w *world) keyOf(row modelRow) string {
	if !w.store.Spec.Kind.Segmented {
		return row.key
	}
	return string(binary.BigEndian.AppendUint64([]byte(row.key), uint64(row.start)))
}

// want returns the rows of the model in a range.
func (w *world) want(r query.Range, wanted func(modelRow) bool) (rows []string) {
	for _, row := range w.model {
		if wanted(row) {
			rows = append(rows, fmt.Sprintf("%d: %q = %s @%d", row.partition, w.keyOf(row), row.value, row.at))
		}
	}
	if r.Reverse {
		slices.Reverse(rows)
	}
	if r.Limit > 0 && len(rows) > r.Limit {
		rows = rows[:r.Limit]
	}
	return rows
}

// check compares the rows of a range with the model's.
func (w *world) check(t *testing.T, r query.Range, wanted func(modelRow) bool) {
	t.Helper()
	var got []string
	for row, err := range w.store.Rows(t.Context(), r) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d: %q = %s @%d", row.Partition, row.Key, row.Value, row.Timestamp))
	}
	if want := w.want(r, wanted); !slices.Equal(got, want) {
		t.Fatalf("%+v %+v:\ngot  %q\nwant %q", r, r.Windows, got, want)
	}
}

// checkGet compares the row of a key with the model's.
func (w *world) checkGet(t *testing.T, key string, start int64) {
	t.Helper()
	i := slices.IndexFunc(w.model, func(row modelRow) bool { return row.key == key && row.start == start })
	several := i >= 0 && slices.ContainsFunc(w.model, func(row modelRow) bool {
		return row.key == key && row.start == start && row.partition != w.model[i].partition
	})
	row, ok, err := w.store.Get(t.Context(), []byte(key), []byte(w.keyOf(modelRow{key: key, start: start})))
	switch {
	case several:
		if err == nil {
			t.Fatalf("%q %d is in two partitions: %v, %v", key, start, row, ok)
		}
	case err != nil || ok != (i >= 0):
		t.Fatalf("%q %d: %v, %v; the model has it: %v", key, start, ok, err, i >= 0)
	case ok:
		want := w.model[i]
		if string(row.Value) != want.value || row.Timestamp != want.at || row.Partition != want.partition || string(row.Key) != w.keyOf(want) {
			t.Fatalf("%q %d: %+v, want %+v", key, start, row, want)
		}
	}
}

func pick(r *rand.Rand) string { return keys[r.IntN(len(keys))] }

// Random ranges, prefixes and gets of random rows agree with a model. Uncommitted changes
// are not visible.
func TestKeyValuesEqualModel(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]state.Option{"disk": nil, "memory": {state.InMemory()}} {
		for _, byKey := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/byKey=%v", name, byKey), func(t *testing.T) {
				t.Parallel()
				w, stores := newWorld(t, byKey, openRows, state.KeyValue("st", serde.String, serde.String, opts...))
				r := rand.New(rand.NewPCG(1, 2))
				for round := range 20 {
					for n := range 12 {
						key := pick(r)
						row := modelRow{partition: w.partitionOf(r, key), key: key, value: fmt.Sprint(round, "-", n), at: r.Int64N(100)}
						s, present := stores[row.partition], r.IntN(3) > 0
						w.set(row, present)
						if present {
							must(t, s.PutTimestamped(key, row.value, processor.Timestamp(row.at)))
						} else if _, _, err := s.Delete(key); err != nil {
							t.Fatal(err)
						}
					}
					w.commit()
					for _, s := range stores {
						must(t, s.Put(pick(r), "uncommitted"))
						must(t, s.Put("new", "uncommitted"))
					}
					w.sort()
					for range 60 {
						w.checkRange(t, r)
						w.checkGet(t, pick(r), 0)
					}
					w.abort(stores, state.KeyValue("st", serde.String, serde.String, opts...))
				}
			})
		}
	}
}

// checkRange compares a random range.
func (w *world) checkRange(t *testing.T, r *rand.Rand) {
	t.Helper()
	rg := query.Range{Reverse: r.IntN(2) == 0, Limit: max(0, r.IntN(12)-4)}
	if r.IntN(2) == 0 {
		rg.From = []byte(pick(r))
	}
	if r.IntN(2) == 0 {
		rg.To = []byte(pick(r))
	}
	if r.IntN(2) == 0 {
		rg.Prefix = []byte(pick(r))
	}
	w.check(t, rg, func(row modelRow) bool {
		key := []byte(row.key)
		return bytes.HasPrefix(key, rg.Prefix) && bytes.Compare(key, rg.From) >= 0 && (rg.To == nil || bytes.Compare(key, rg.To) <= 0)
	})
}

// abort drops the uncommitted changes.
func (w *world) abort(stores []state.KeyValueStore[string, string], spec state.Spec[string, string]) {
	for i, k := range w.tasks {
		k.Abort()
		stores[i] = openRows(k.Processor(spec), spec)
	}
}

// Random reads of windows agree with a model, even if an earlier version of the program
// has chosen the segments, and most of them are empty.
func TestWindowsEqualModel(t *testing.T) {
	t.Parallel()
	duplicates := []windowstore.Option{windowstore.RetainDuplicates()}
	for name, opts := range map[string][]windowstore.Option{"disk": nil, "memory": {windowstore.InMemory()}, "duplicates": duplicates} {
		for _, byKey := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/byKey=%v", name, byKey), func(t *testing.T) {
				t.Parallel()
				earlier := windowstore.New("st", serde.String, serde.String, time.Second, 2*time.Minute, opts...)
				spec := windowstore.New("st", serde.String, serde.String, time.Second, 24*time.Hour, opts...)
				w, stores := newWorld(t, byKey, openWindows, earlier, spec)
				interval := int64(time.Minute / time.Millisecond)
				if name == "memory" { // nothing survives in memory
					interval = store.SegmentInterval(24 * 3600_000)
				}
				r := rand.New(rand.NewPCG(3, 4))
				var seq [parts]uint32
				for round := range 12 {
					var open []modelRow
					for n := range 12 {
						row := modelRow{key: pick(r), start: pickStart(r), value: fmt.Sprint(round, "-", n), at: r.Int64N(100)}
						row.partition, row.segment = w.partitionOf(r, row.key), row.start/interval
						if seq[row.partition]++; w.store.Spec.Duplicates {
							row.seq = seq[row.partition]
						}
						must(t, stores[row.partition].PutTimestamped(row.key, row.value, processor.Timestamp(row.start), processor.Timestamp(row.at)))
						open = append(open, row)
					}
					w.checkAll(t, r) // uncommitted changes are not visible
					w.commit()
					for _, row := range open {
						w.set(row, true)
					}
					w.sort()
					w.checkAll(t, r)
				}
			})
		}
	}
}

// checkAll compares random selections and keys.
func (w *world) checkAll(t *testing.T, r *rand.Rand) {
	t.Helper()
	for range 40 {
		w.checkWindows(t, r)
		w.checkGet(t, pick(r), pickStart(r))
	}
}

var (
	openRows    = state.Open[string, string, string, string]
	openWindows = windowstore.Open[string, string, string, string]
)

// pickStart returns one of few starts, at the ends of segments of a minute and far from
// each other.
func pickStart(r *rand.Rand) int64 {
	starts := []int64{0, 1, 59_999, 60_000, 60_001, 600_000, 3_600_000, 43_199_999, 43_200_000, 80_000_000}
	return starts[r.IntN(len(starts))]
}

// checkWindows compares a random selection of windows.
func (w *world) checkWindows(t *testing.T, r *rand.Rand) {
	t.Helper()
	rg := query.Range{Reverse: r.IntN(2) == 0, Limit: max(0, r.IntN(12)-4)}
	rg.Windows = &query.Windows{From: pickStart(r), To: pickStart(r)}
	switch r.IntN(4) {
	case 0:
		rg.Windows.From = -1000
	case 1:
		rg.Windows.To = 1 << 62
	}
	if r.IntN(3) > 0 {
		rg.Windows.Key = []byte(pick(r))
	}
	w.check(t, rg, func(row modelRow) bool {
		return (rg.Windows.Key == nil || row.key == string(rg.Windows.Key)) && rg.Windows.From <= row.start && row.start <= rg.Windows.To
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// all reads a range to its end.
func all(ctx context.Context, s *query.Store, r query.Range) (rows []string, err error) {
	for row, err := range s.Rows(ctx, r) {
		if err != nil {
			return rows, err
		}
		rows = append(rows, string(row.Key))
	}
	return rows, nil
}
