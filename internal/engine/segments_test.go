package engine

import (
	"encoding/binary"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A segment that an earlier version of the program has written has no offset. Nothing is
// trimmed until that segment is deleted.
func TestSegmentWithoutOffset(t *testing.T) {
	t.Parallel()
	shared := NewShared(0)
	defer shared.Close()
	fs := vfs.NewMem()
	const interval = 60_000
	var db *DB
	var table *Table
	open := func() {
		t.Helper()
		var err error
		if db, err = Open(Options{Dir: "state", FS: fs, Shared: shared}); err != nil {
			t.Fatal(err)
		}
		if table, err = db.Table("st", true); err != nil {
			t.Fatal(err)
		}
		if _, err = table.Interval(interval); err != nil {
			t.Fatal(err)
		}
	}
	write := func(at, segment int64, expired int64) {
		t.Helper()
		b := db.NewBatch()
		defer b.Close()
		rows := b.Table(table)
		rows.Logged(at)
		key := append(segmentKey(segment), 'k')
		if err := rows.Set(key, 0, []byte("v")); err != nil {
			t.Fatal(err)
		}
		if err := rows.DeleteRange(nil, segmentKey(expired)); err != nil {
			t.Fatal(err)
		}
		b.SetPosition(table, "log", at+1)
		if err := db.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	live := func(want int64) {
		t.Helper()
		if got := db.LiveFrom(table, "log"); got != want {
			t.Errorf("live from %d, want %d", got, want)
		}
	}
	open()
	write(10, 1, 0)
	write(20, 2, 0)
	live(10)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open()
	live(10)
	if err := database(db).Delete(metaKey(metaSegment, "st"+string(segmentKey(2))), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open()
	live(0)
	write(30, 3, 2)
	live(0)
	write(40, 4, 3)
	live(30)
	write(50, 5, 6) // includes the rows of the batch itself
	live(51)
	if err := db.Wipe(table, "log", "test"); err != nil {
		t.Fatal(err)
	}
	live(0)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open()
	live(0)
	if len(table.firsts) > 0 {
		t.Errorf("offsets of a wiped table: %v", table.firsts)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// For the offsets of segments, a record costs one comparison and no memory.
func TestSegmentsCostNothingPerRow(t *testing.T) {
	shared := NewShared(0)
	defer shared.Close()
	db, err := Open(Options{Dir: "state", FS: vfs.NewMem(), Shared: shared})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	table, err := db.Table("st", true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Interval(60_000); err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	defer b.Close()
	rows, n := b.Table(table), int64(0)
	key := make([]byte, 64)
	if got := testing.AllocsPerRun(1000, func() {
		n++
		rows.note(append(binary.BigEndian.AppendUint64(key[:0], uint64(n%3)), 'k'))
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
