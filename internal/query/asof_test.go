package query_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/query"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/versionedstore"
)

// Queries as of a time see the committed versions, as the store's own reads do.
func TestVersionsEqualTheStore(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]versionedstore.Option{"disk": nil, "memory": {versionedstore.InMemory()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := versionedstore.New("st", serde.String, serde.String, time.Hour, opts...)
			task := storetest.New(t, 0)
			rows := versionedstore.Open(task.Processor(spec), spec)
			described, err := store.Of(spec)
			must(t, err)
			s := &query.Store{Spec: described, Partitions: 1, ByKey: true, Held: partitions{task}}
			r := rand.New(rand.NewPCG(5, 6))
			for n := range 200 {
				at := processor.Timestamp(r.Int64N(20 * 60_000))
				if r.IntN(4) > 0 {
					_, _, err = rows.Put(pick(r), fmt.Sprint(n), at)
				} else {
					_, _, err = rows.Delete(pick(r), at)
				}
				must(t, err)
			}
			task.Commit()
			for range 500 {
				key, at := pick(r), r.Int64N(20*60_000)
				want, there, err := rows.GetAsOf(key, processor.Timestamp(at))
				must(t, err)
				got, ok, err := s.GetAsOf(t.Context(), []byte(key), []byte(key), at)
				must(t, err)
				if ok != there || ok && (string(got.Value) != want.Value || got.Timestamp != int64(want.From)) {
					t.Fatalf("%q as of %d is %+v, %v; want %+v, %v", key, at, got, ok, want, there)
				}
			}
		})
	}
}

// Queries as of a time convert versions of an earlier format.
func TestAsOfConverts(t *testing.T) {
	t.Parallel()
	task := storetest.New(t, 0)
	task.SweepRows = 1 // the rest stays in the earlier format
	task.Restart()
	before := versionedstore.New("st", serde.String, serde.Int64, time.Hour)
	rows := versionedstore.Open(task.Processor(before), before)
	for at := range int64(4) {
		_, _, err := rows.Put("k", at, processor.Timestamp(at))
		must(t, err)
	}
	task.Commit()
	task.Restart()
	after := versionedstore.New("st", serde.String, serde.String, time.Hour, versionedstore.Migrate(serde.Int64, func(n int64) string { return fmt.Sprint(n, "!") }))
	versionedstore.Open(task.Processor(after), after)
	described, err := store.Of(after)
	must(t, err)
	s := &query.Store{Spec: described, Partitions: 1, ByKey: true, Held: partitions{task}}
	task.Commit()
	for at := range int64(4) {
		got, ok, err := s.GetAsOf(t.Context(), []byte("k"), []byte("k"), at)
		if want := fmt.Sprint(at, "!"); string(got.Value) != want || !ok || err != nil {
			t.Errorf("k as of %d is %q, %v, %v; want %q", at, got.Value, ok, err, want)
		}
	}
}

func TestAsOfNeedsVersions(t *testing.T) {
	t.Parallel()
	task := storetest.New(t, 0)
	spec := state.KeyValue("st", serde.String, serde.String)
	task.Open(spec)
	described, err := store.Of(spec)
	must(t, err)
	s := &query.Store{Spec: described, Partitions: 1, ByKey: true, Held: partitions{task}}
	if _, _, err := s.GetAsOf(t.Context(), nil, []byte("a"), 1); err == nil || errors.Is(err, query.ErrNotHere) {
		t.Errorf("GetAsOf: %v", err)
	}
}
