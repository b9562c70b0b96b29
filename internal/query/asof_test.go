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
