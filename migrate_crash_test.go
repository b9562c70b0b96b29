package millrace_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// A process that dies at any step of a commit, while it converts rows, loses none, and
// converts none twice.
func TestMigrationCrashes(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		for _, step := range []txn.Step{txn.BeforeFlush, txn.AfterFlush, txn.AfterOffsets, txn.BeforeEnd, txn.AfterEnd} {
			if guarantee == millrace.AtLeastOnce && (step == txn.BeforeEnd || step == txn.AfterEnd) {
				continue // there is no transaction
			}
			for _, disk := range []string{"kept", "lost"} {
				t.Run(fmt.Sprintf("%v/%v/disk %s", guarantee, step, disk), func(t *testing.T) {
					t.Parallel()
					crashMigration(t, guarantee, step, disk == "lost")
				})
			}
		}
	}
}

func crashMigration(t *testing.T, guarantee millrace.Guarantee, step txn.Step, lost bool) {
	v := newVersions(t)
	v.guarantee = guarantee
	dir := t.TempDir()
	const keys = 9
	var records []string
	for i := range keys {
		records = append(records, fmt.Sprintf("%d=%s", i, strings.Repeat("x", i+1)))
	}
	v.send("in", records...)
	v.starts(inInts, dir, "two")
	if lost {
		dir = t.TempDir()
	}
	var died *atomic.Int64
	app := runWith(t, v.build(inFloats), v.config(dir), func(a *millrace.App) {
		millrace.SetSweepRows(a, 1)
		died = millrace.CrashAt(a, step)
	})
	for !v.log.has("the end of a migration is recorded", "store=own") && app.Snapshot().State != millrace.Failed {
		v.send("in", "other=abc") // some steps need offsets to commit
	}
	v.migrated(1)
	if died.Load() == 0 {
		t.Error("no process died")
	}
	for range 2 {
		for _, store := range []string{"sums", "own"} {
			for i := range keys {
				var got float64
				var ok bool
				var err error
				eventually(t, "the store can be read", func() bool { // it may be restored
					got, ok, err = millrace.Get(t.Context(), app.App, state.KeyValue(store, serde.String, serde.Float64), fmt.Sprint(i))
					return err == nil
				})
				if want := half(int64(i + 1)); got != want || !ok || err != nil {
					t.Errorf("store %s: %d is %v, %v, %v; want %v", store, i, got, ok, err, want)
				}
			}
		}
		app.stop()
		// The second time, the rows come from the changelogs alone.
		app = run(t, v.build(onlyFloats), v.config(t.TempDir()))
		eventually(t, "it runs", func() bool { return app.Snapshot().State == millrace.Running })
	}
	app.stop()
}
