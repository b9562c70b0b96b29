package engine

import (
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// After Clear the database has no rows, offsets and times, in memory and on disk.
func TestClear(t *testing.T) {
	t.Parallel()
	fs, shared := vfs.NewMem(), newShared(t)
	d := openDB(t, shared, fs)
	tb := table(t, d, "regions", true)
	b := d.NewBatch()
	defer b.Close()
	check(t, b.Table(tb).Set([]byte("a"), 1, []byte("x")))
	b.SetPosition(tb, "topic", 7)
	b.SetTime("time", 8)
	b.SetStamp(time.UnixMilli(9))
	b.SetProgress(&Progress{Inputs: []InputProgress{{Topic: "topic", Offset: 7}}})
	check(t, d.Apply(b))
	check(t, d.Clear("test"))
	for _, reopened := range []bool{false, true} {
		if reopened {
			check(t, d.Close())
			d = openDB(t, shared, fs)
			tb = table(t, d, "regions", true)
		}
		_, position := d.Position(tb, "topic")
		_, at := d.Time("time")
		_, progress, err := d.Progress()
		check(t, err)
		if got := rows(t, tb); len(got) > 0 || position || at || progress || !d.Stamp().IsZero() {
			t.Errorf("reopened %v: rows %v, position %v, time %v, progress %v, stamp %v", reopened, got, position, at, progress, d.Stamp())
		}
	}
	check(t, d.Close())
}
