package query_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/query"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/windowstore"
)

// keyValues is a world with the row k in partition 1.
func keyValues(t *testing.T, byKey bool) *world {
	w, stores := newWorld(t, byKey, openRows, state.KeyValue("st", serde.String, serde.String))
	must(t, stores[1].Put("k", "v"))
	w.commit()
	return w
}

func get(w *world, ctx context.Context, key string) (query.Row, bool, error) {
	return w.store.Get(ctx, []byte(key), []byte(key))
}

// A processor may put any key into any partition. If a key is not found, it is only known
// to be absent when all partitions were read.
func TestPartitionsThatAreNotHere(t *testing.T) {
	t.Parallel()
	w := keyValues(t, false)
	if row, ok, err := get(w, t.Context(), "k"); err != nil || !ok || row.Partition != 1 {
		t.Errorf("all are here: %v, %v, %v", row, ok, err)
	}
	if _, ok, err := get(w, t.Context(), "other"); err != nil || ok {
		t.Errorf("a key that is not there: %v, %v", ok, err)
	}
	w.tasks[2] = nil
	if row, ok, err := get(w, t.Context(), "k"); err != nil || !ok || row.Partition != 1 {
		t.Errorf("the key's partition is here: %v, %v, %v", row, ok, err)
	}
	if _, _, err := get(w, t.Context(), "other"); !errors.Is(err, query.ErrNotHere) || !strings.Contains(err.Error(), "partition 2") {
		t.Errorf("a key that may be elsewhere: %v", err)
	}
	w.tasks[1] = nil
	if _, _, err := get(w, t.Context(), "k"); !errors.Is(err, query.ErrNotHere) {
		t.Errorf("a key that is elsewhere: %v", err)
	}
	if rows, err := all(t.Context(), w.store, query.Range{}); err != nil || len(rows) != 0 {
		t.Errorf("a range covers what is here: %v, %v", rows, err)
	}
	w.store.ByKey = true
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		_, _, err := get(w, t.Context(), key)
		if here := serde.Partition([]byte(key), parts) == 0; here != (err == nil) || !here && !errors.Is(err, query.ErrNotHere) {
			t.Errorf("key %s of a table: %v", key, err)
		}
	}
}

// The windows of one key of a processor's store are complete only with all partitions. If
// one is missing, the loop yields its rows and then an error.
func TestWindowsThatAreNotHere(t *testing.T) {
	t.Parallel()
	w, stores := newWorld(t, false, openWindows, windowstore.New("st", serde.String, serde.String, time.Second, time.Hour))
	for _, s := range stores {
		must(t, s.Put("k", "v", 1000))
	}
	w.commit()
	r := query.Range{Windows: &query.Windows{Key: []byte("k"), To: 5000}}
	if rows, err := all(t.Context(), w.store, r); err != nil || len(rows) != parts {
		t.Errorf("all are here: %q, %v", rows, err)
	}
	w.tasks[0] = nil
	if rows, err := all(t.Context(), w.store, r); !errors.Is(err, query.ErrNotHere) || len(rows) != parts-1 {
		t.Errorf("one is missing: %q, %v", rows, err)
	}
	r.Limit = parts - 1
	if rows, err := all(t.Context(), w.store, r); err != nil || len(rows) != parts-1 {
		t.Errorf("with a limit: %q, %v", rows, err)
	}
	r.Windows.Key, r.Limit = nil, 0
	if rows, err := all(t.Context(), w.store, r); err != nil || len(rows) != parts-1 {
		t.Errorf("windows of all keys: %q, %v", rows, err)
	}
	if _, _, err := get(w, t.Context(), "short"); err == nil || !strings.Contains(err.Error(), "window start") {
		t.Errorf("a key without a window: %v", err)
	}
}

// A range that belongs to another kind of store returns an error that says what to do.
func TestRangesOfOtherKinds(t *testing.T) {
	t.Parallel()
	w := keyValues(t, false)
	if _, err := all(t.Context(), w.store, query.Range{Windows: &query.Windows{}}); err == nil || !strings.Contains(err.Error(), "no windows") {
		t.Errorf("windows of a key-value store: %v", err)
	}
	w, _ = newWorld(t, false, openWindows, windowstore.New("st", serde.String, serde.String, time.Second, time.Hour))
	if _, err := all(t.Context(), w.store, query.Range{}); err == nil || !strings.Contains(err.Error(), "use Windows") {
		t.Errorf("a range of a window store: %v", err)
	}
}

// A loop ends with its context's error, between rows too, and with ErrNotHere when the
// partition moves away.
func TestLoopsThatEnd(t *testing.T) {
	t.Parallel()
	w := keyValues(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := get(w, ctx, "k"); !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
	if _, err := all(ctx, w.store, query.Range{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Rows: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	var errs []error
	for _, err := range w.store.Rows(ctx, query.Range{}) {
		errs = append(errs, err)
		cancel()
	}
	if len(errs) != 2 || errs[0] != nil || !errors.Is(errs[1], context.Canceled) {
		t.Errorf("canceled in the loop: %v", errs)
	}
	errs = nil
	for _, err := range w.store.Rows(t.Context(), query.Range{}) {
		if errs = append(errs, err); len(errs) == 1 {
			w.tasks[1].Restart() // closes the database
		}
	}
	if len(errs) != 2 || !errors.Is(errs[1], query.ErrNotHere) {
		t.Errorf("moved away in the loop: %v", errs)
	}
}

// closed are partitions whose databases are closed.
type closed struct{}

func (closed) Readable() []int32                        { return []int32{0} }
func (closed) Snapshot(int32) (*engine.Snapshot, error) { return nil, engine.ErrClosed }

func TestDatabaseThatIsClosed(t *testing.T) {
	t.Parallel()
	w := keyValues(t, true)
	w.store.Held = closed{}
	if _, _, err := get(w, t.Context(), "k"); !errors.Is(err, query.ErrNotHere) {
		t.Errorf("Get: %v", err)
	}
	if _, err := all(t.Context(), w.store, query.Range{}); !errors.Is(err, query.ErrNotHere) {
		t.Errorf("Rows: %v", err)
	}
}

// Breaking off a loop releases the snapshot, so the database can be closed.
func TestBreak(t *testing.T) {
	t.Parallel()
	w := keyValues(t, false)
	var got []string
	for row, err := range w.store.Rows(t.Context(), query.Range{Reverse: true}) {
		must(t, err)
		got = append(got, string(row.Key))
		break
	}
	if !slices.Equal(got, []string{"k"}) {
		t.Errorf("got %q", got)
	}
}
