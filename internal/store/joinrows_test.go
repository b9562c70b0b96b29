package store_test

import (
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/serde"
)

// TestJoinRowsThatComeAgain: records are processed again, and the table has their rows.
// The rows that have expired since the first time are live again, because a pair may have
// had no result yet.
func TestJoinRowsThatComeAgain(t *testing.T) {
	t.Parallel()
	k := storetest.New(t, 0)
	spec := store.NewJoinRows("left", serde.String, serde.String, 10*time.Millisecond, 100*time.Millisecond, store.Options{})
	add := func(rows *store.JoinRows[string, string], at int64) *engine.TimedRow[string] {
		t.Helper()
		row, err := rows.Add([]byte("k"), "v", true, at, engine.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		return row
	}
	rows := k.Open(spec).(*store.JoinRows[string, string])
	add(rows, 5)
	add(rows, 1000)
	k.Commit()
	k.Uncommit()
	rows = k.Open(spec).(*store.JoinRows[string, string])
	if add(rows, 5) == nil {
		t.Error("the row has expired")
	}
	if found, err := rows.Find(nil, []byte("k"), 0, 10); len(found) != 1 || err != nil {
		t.Errorf("found %d rows, %v; want 1", len(found), err)
	}
}
