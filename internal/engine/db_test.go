package engine

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

func newShared(t testing.TB) *Shared {
	s := NewShared(8 << 20)
	t.Cleanup(s.Close)
	return s
}

func openDB(t testing.TB, shared *Shared, fs vfs.FS) *DB {
	t.Helper()
	d, err := Open(Options{Dir: "task", FS: fs, Shared: shared, MemTableSize: 256 << 10})
	check(t, err)
	return d
}

func check(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

func table(t testing.TB, d *DB, name string, persistent bool) *Table {
	t.Helper()
	tb, err := d.Table(name, persistent)
	check(t, err)
	return tb
}

// rows returns a table as text.
func rows(t testing.TB, tb *Table) map[string]string {
	t.Helper()
	it, err := tb.Scan(nil, nil)
	check(t, err)
	m := map[string]string{}
	for it.Next() {
		m[string(it.Key())] = fmt.Sprintf("%s@%d", it.Value(), it.Timestamp())
	}
	check(t, it.Close())
	return m
}

func TestPinnedFormatIsTheNewest(t *testing.T) {
	t.Parallel()
	if pebbleFormat != pebble.FormatNewest {
		t.Errorf("Pebble has a newer format, %d; decide about pebbleFormat, %d", pebble.FormatNewest, pebbleFormat)
	}
}

func TestNothingOnDiskWithoutPersistentTable(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	d := openDB(t, newShared(t), fs)
	tb := table(t, d, "m", false)
	b := d.NewBatch()
	check(t, b.Table(tb).Set([]byte("a"), 1, []byte("x")))
	b.SetPosition(tb, "topic", 5)
	b.SetTime("op", 7)
	b.SetStamp(time.UnixMilli(9))
	check(t, d.Apply(b))
	if names, _ := fs.List(""); len(names) != 0 {
		t.Errorf("on disk: %q", names)
	}
	if at, _ := d.Time("op"); at != 7 {
		t.Errorf("time %d", at)
	}
	check(t, d.Close())
}

func TestReopen(t *testing.T) {
	t.Parallel()
	fs, shared := vfs.NewMem(), newShared(t)
	d := openDB(t, shared, fs)
	for i, name := range []string{"b", "a", "c"} {
		tb := table(t, d, name, true)
		b := d.NewBatch()
		check(t, b.Table(tb).Set([]byte("key"), int64(i), []byte(name)))
		check(t, b.Table(tb).Set([]byte{0xff, 0xff}, math.MaxInt64, nil))
		b.SetPosition(tb, name+"-topic", int64(i)+100)
		b.SetTopicID(tb, name+"-topic", [16]byte{byte(i), 9})
		b.SetTime(name, int64(i)+200)
		b.SetStamp(time.UnixMilli(int64(i) + 300))
		check(t, d.Apply(b))
	}
	check(t, d.Close())
	check(t, d.Close())
	if _, err := d.Table("x", true); err != ErrClosed {
		t.Errorf("Table of a closed database: %v", err)
	}

	d = openDB(t, shared, fs)
	for i, name := range []string{"c", "b", "new", "a"} {
		tb := table(t, d, name, true)
		if name == "new" {
			if got := rows(t, tb); len(got) != 0 {
				t.Errorf("new table has %q", got)
			}
			continue
		}
		n := slices.Index([]string{"b", "a", "c"}, name)
		if got, want := rows(t, tb), map[string]string{"key": fmt.Sprintf("%s@%d", name, n), "\xff\xff": fmt.Sprintf("@%d", math.MaxInt64)}; !maps.Equal(got, want) {
			t.Errorf("%d: table %s has %q, want %q", i, name, got, want)
		}
		if p, ok := d.Position(tb, name+"-topic"); !ok || p != int64(n)+100 {
			t.Errorf("position %d, %v", p, ok)
		}
		if id, ok := d.TopicID(tb, name+"-topic"); !ok || id != [16]byte{byte(n), 9} {
			t.Errorf("topic ID %v, %v", id, ok)
		}
	}
	if want := map[string]int64{"a": 201, "b": 200, "c": 202}; !maps.Equal(d.Times(), want) {
		t.Errorf("times %v, want %v", d.Times(), want)
	}
	if d.Stamp().UnixMilli() != 302 {
		t.Errorf("stamp %v", d.Stamp())
	}
	check(t, d.Destroy())
	if names, _ := fs.List(""); len(names) != 0 {
		t.Errorf("after Destroy: %q", names)
	}
}

func TestTableIsKeptInOneWay(t *testing.T) {
	t.Parallel()
	d := openDB(t, newShared(t), vfs.NewMem())
	defer d.Close()
	first := table(t, d, "t", true)
	if again := table(t, d, "t", true); again != first {
		t.Error("a second Table is another one")
	}
	if _, err := d.Table("t", false); err == nil {
		t.Error("one name has two tables")
	}
}

// A store was on disk and is now in memory. It does not use the position of its rows on
// disk, and does not lose that position either.
func TestMemoryTableHasItsOwnPosition(t *testing.T) {
	t.Parallel()
	fs, shared := vfs.NewMem(), newShared(t)
	d := openDB(t, shared, fs)
	b := d.NewBatch()
	b.SetPosition(table(t, d, "t", true), "topic", 10)
	check(t, d.Apply(b))
	check(t, d.Close())

	d = openDB(t, shared, fs)
	other := table(t, d, "other", true)
	tb := table(t, d, "t", false)
	if p, ok := d.Position(tb, "topic"); ok {
		t.Errorf("position %d", p)
	}
	b = d.NewBatch()
	b.SetPosition(tb, "topic", 20)
	b.SetPosition(other, "other-topic", 5)
	check(t, d.Apply(b))
	check(t, d.Close())

	d = openDB(t, shared, fs)
	defer d.Close()
	if p, _ := d.Position(table(t, d, "t", true), "topic"); p != 10 {
		t.Errorf("position %d, want 10", p)
	}
}

func TestWipe(t *testing.T) {
	t.Parallel()
	for _, persistent := range []bool{true, false} {
		fs, shared := vfs.NewMem(), newShared(t)
		d := openDB(t, shared, fs)
		one, two := table(t, d, "one", persistent), table(t, d, "two", persistent)
		b := d.NewBatch()
		for i, tb := range []*Table{one, two} {
			check(t, b.Table(tb).Set([]byte{0}, 1, []byte("x")))
			check(t, b.Table(tb).Set([]byte{0xff, 0xff}, 1, []byte("y")))
			b.SetPosition(tb, tb.Name(), int64(i))
			b.SetTopicID(tb, tb.Name(), [16]byte{1})
		}
		check(t, d.Apply(b))
		check(t, d.Wipe(one, "one", "a test"))
		wiped := func() {
			t.Helper()
			if got := rows(t, one); len(got) != 0 {
				t.Errorf("after Wipe %q", got)
			}
			if p, ok := d.Position(one, "one"); ok {
				t.Errorf("after Wipe the position is %d", p)
			}
			if id, ok := d.TopicID(one, "one"); ok {
				t.Errorf("after Wipe the topic ID is %v", id)
			}
			if got, want := rows(t, two), map[string]string{"\x00": "x@1", "\xff\xff": "y@1"}; !maps.Equal(got, want) {
				t.Errorf("the other table has %q", got)
			}
		}
		wiped()
		if persistent {
			check(t, d.Close())
			d = openDB(t, shared, fs)
			one, two = table(t, d, "one", true), table(t, d, "two", true)
			wiped()
		}
		check(t, d.Close())
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	fs, shared := vfs.NewMem(), newShared(t)
	d := openDB(t, shared, fs)
	b := d.NewBatch()
	for _, name := range []string{"gone", "stays"} {
		tb := table(t, d, name, true)
		check(t, b.Table(tb).Set([]byte("k"), 1, []byte("v")))
		b.SetPosition(tb, name+"-log", 5)
		_, err := tb.Interval(1)
		check(t, err)
	}
	check(t, d.Apply(b))
	if err := d.Drop("gone", "a test", "gone-log"); err == nil {
		t.Error("an open table was dropped")
	}
	check(t, d.Close())

	d = openDB(t, shared, fs)
	table(t, d, "stays", true)
	if got := d.Stores(); !slices.Equal(got, []string{"gone", "stays"}) {
		t.Errorf("stores %q", got)
	}
	check(t, d.Drop("gone", "a test", "gone-log"))
	if got := d.Stores(); !slices.Equal(got, []string{"stays"}) {
		t.Errorf("stores %q", got)
	}
	check(t, d.Close())

	d = openDB(t, shared, fs)
	defer d.Close()
	stays, gone := table(t, d, "stays", true), table(t, d, "gone", true)
	if got := rows(t, gone); len(got) != 0 {
		t.Errorf("rows came back: %q", got)
	}
	if at, ok := d.Position(gone, "gone-log"); ok {
		t.Errorf("position %d", at)
	}
	if at, _ := d.Position(stays, "stays-log"); at != 5 || len(rows(t, stays)) != 1 {
		t.Errorf("the other table is at %d with %q", at, rows(t, stays))
	}
	if _, ok := d.intervals["gone"]; ok {
		t.Error("the layout is still there")
	}
}

func TestUnknownFormatIsRefused(t *testing.T) {
	t.Parallel()
	fs, shared := vfs.NewMem(), newShared(t)
	d := openDB(t, shared, fs)
	table(t, d, "t", true)
	check(t, database(d).Set(metaKey(metaFormat, ""), []byte{0, 0, 0, 0, 0, 0, 0, 99}, pebble.NoSync))
	check(t, d.Close())
	d = openDB(t, shared, fs)
	if _, err := d.Table("t", true); err == nil {
		t.Error("format 99 was opened")
	}
	check(t, d.Close())
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	d := openDB(t, newShared(t), vfs.NewMem())
	disk, memory := table(t, d, "disk", true), table(t, d, "memory", false)
	set := func(v string) {
		b := d.NewBatch()
		for _, tb := range []*Table{disk, memory} {
			check(t, b.Table(tb).Set([]byte("k"), 1, []byte(v)))
			check(t, b.Table(tb).Set([]byte(v), 2, nil))
		}
		check(t, d.Apply(b))
	}
	set("old")
	s, err := d.Snapshot()
	check(t, err)
	set("new")
	for _, name := range []string{"disk", "memory"} {
		row, ok, err := s.Get(name, []byte("k"))
		if string(row.Value) != "old" || row.Timestamp != 1 || !ok || err != nil {
			t.Errorf("%s: Get = %+v, %v, %v", name, row, ok, err)
		}
		if v, ok, err := s.Get(name, []byte("new")); ok || err != nil {
			t.Errorf("%s: Get of a later row = %+v, %v", name, v, err)
		}
		it, err := s.Scan(name, nil, []byte("o"))
		check(t, err)
		n := 0
		for it.Prev() {
			n++
		}
		if err := it.Close(); err != nil || n != 1 {
			t.Errorf("%s: Scan has %d rows, %v", name, n, err)
		}
	}
	if _, _, err := s.Get("none", nil); err == nil {
		t.Error("an unknown table was read")
	}
	check(t, s.Close())
	check(t, s.Close())
	if _, _, err := s.Get("disk", []byte("k")); err == nil {
		t.Error("a closed snapshot was read")
	}
	check(t, d.Close())
	if _, err := d.Snapshot(); err != ErrClosed {
		t.Errorf("Snapshot of a closed database: %v", err)
	}
}

// Closing a database does not wait for readers. A reader keeps its present row, and then
// gets an error.
func TestCloseEndsSnapshots(t *testing.T) {
	t.Parallel()
	for _, persistent := range []bool{true, false} {
		d := openDB(t, newShared(t), vfs.NewMem())
		tb := table(t, d, "t", persistent)
		b := d.NewBatch()
		for _, k := range []string{"a", "b"} {
			check(t, b.Table(tb).Set([]byte(k), 7, []byte("of "+k)))
		}
		check(t, d.Apply(b))
		s, err := d.Snapshot()
		check(t, err)
		rows, err := s.Scan("t", nil, nil)
		check(t, err)
		if !rows.Next() {
			t.Fatal("no row")
		}
		check(t, d.Close())
		if string(rows.Key()) != "a" || string(rows.Value()) != "of a" || rows.Timestamp() != 7 {
			t.Errorf("the row became %q=%q@%d", rows.Key(), rows.Value(), rows.Timestamp())
		}
		if rows.Next() {
			t.Errorf("a row of a closed database: %q", rows.Key())
		}
		if err := rows.Close(); err != ErrClosed {
			t.Errorf("the walk ended with %v", err)
		}
		if _, _, err := s.Get("t", []byte("a")); err != ErrClosed {
			t.Errorf("Get returned %v", err)
		}
		if _, err := s.Scan("t", nil, nil); err != ErrClosed {
			t.Errorf("Scan returned %v", err)
		}
		check(t, s.Close())
	}
}

// Queries run while the task commits; each sees the state of one commit in all tables.
func TestSnapshotsAreConsistent(t *testing.T) {
	t.Parallel()
	d := openDB(t, newShared(t), vfs.NewMem())
	tables := []*Table{table(t, d, "a", true), table(t, d, "b", false), table(t, d, "c", false)}
	keys := [][]byte{[]byte("x"), []byte("y"), []byte("z")}
	write := func(v string) {
		b := d.NewBatch()
		for _, tb := range tables {
			for _, k := range keys {
				check(t, b.Table(tb).Set(k, 0, []byte(v)))
			}
		}
		check(t, d.Apply(b))
	}
	write("0")
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				s, err := d.Snapshot()
				if err != nil {
					t.Error(err)
					return
				}
				seen := map[string]bool{}
				for _, tb := range tables {
					for _, k := range keys {
						row, _, err := s.Get(tb.Name(), k)
						if err != nil {
							t.Error(err)
						}
						seen[string(row.Value)] = true
					}
				}
				if len(seen) != 1 {
					t.Errorf("one snapshot has the states %v", seen)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 500 {
		write(fmt.Sprint(i))
		for _, tb := range tables {
			if row, _, _ := tb.Get(keys[0]); string(row.Value) != fmt.Sprint(i) {
				t.Fatalf("the task reads %q, want %d", row.Value, i)
			}
		}
	}
	close(done)
	readers.Wait()
	check(t, d.Close())
}

// Any part of the unsynced data is lost in a crash. The recovered state is that of one
// commit: all tables, positions and times belong to it.
func TestCrashRecoversACommit(t *testing.T) {
	t.Parallel()
	shared := newShared(t)
	lost := 0
	seedtest.Run(t, 10, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 5))
		fs := vfs.NewCrashableMem()
		d := openDB(t, shared, fs)
		names := []string{"a", "b", "c"}
		type state map[string]map[string]string
		var history []state
		now := state{"a": {}, "b": {}, "c": {}}
		n := 50 + r.IntN(150)
		for i := range n {
			b := d.NewBatch()
			for _, name := range names {
				randomChanges(t, r, b.Table(table(t, d, name, true)), now[name], i)
				b.SetPosition(table(t, d, name, true), name, int64(i))
			}
			b.SetTime("op", int64(i))
			check(t, d.Apply(b))
			history = append(history, state{"a": maps.Clone(now["a"]), "b": maps.Clone(now["b"]), "c": maps.Clone(now["c"])})
			if r.IntN(60) == 0 {
				check(t, d.Flush())
			}
		}
		disk := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
		check(t, d.Close())

		d = openDB(t, shared, disk)
		tables := map[string]*Table{}
		for _, name := range names {
			tables[name] = table(t, d, name, true)
		}
		at, ok := d.Time("op")
		if !ok {
			at = -1
		}
		lost += n - 1 - int(at)
		for _, name := range names {
			want := map[string]string{}
			if at >= 0 {
				want = history[at][name]
			}
			if got := rows(t, tables[name]); !maps.Equal(got, want) {
				t.Fatalf("seed %d: table %s is not as of commit %d", seed, name, at)
			}
			if p, ok := d.Position(tables[name], name); ok != (at >= 0) || ok && p != at {
				t.Fatalf("seed %d: position %d (%v), commit %d", seed, p, ok, at)
			}
		}
		check(t, d.Close())
	})
	if lost == 0 {
		t.Error("no crash lost anything: the test tests nothing")
	}
}

func randomChanges(t *testing.T, r *rand.Rand, b *TableBatch, model map[string]string, i int) {
	t.Helper()
	n := r.IntN(30)
	if r.IntN(80) == 0 {
		n = 5000 // more than a memtable can hold
	}
	for range n {
		key := fmt.Sprintf("%04x", r.IntN(3000))
		switch p := r.IntN(100); {
		case p < 10:
			check(t, b.Delete([]byte(key)))
			delete(model, key)
		case p < 11:
			end := fmt.Sprintf("%04x", r.IntN(3000))
			check(t, b.DeleteRange([]byte(key), []byte(end)))
			maps.DeleteFunc(model, func(k, _ string) bool { return k >= key && k < end })
		default:
			v := bytes.Repeat([]byte{byte('a' + i%26)}, r.IntN(80))
			check(t, b.Set([]byte(key), int64(i), v))
			model[key] = fmt.Sprintf("%s@%d", v, i)
		}
	}
}

// A batch has the same effect on a table in memory as on a table on disk.
func TestMemoryTableEqualsDiskTable(t *testing.T) {
	t.Parallel()
	shared := newShared(t)
	seedtest.Run(t, 3, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 6))
		d := openDB(t, shared, vfs.NewMem())
		disk, memory := table(t, d, "disk", true), table(t, d, "memory", false)
		for i := range 60 {
			b := d.NewBatch()
			for _, tb := range []*Table{disk, memory} {
				randomChanges(t, rand.New(rand.NewPCG(seed, uint64(i))), b.Table(tb), map[string]string{}, i)
			}
			check(t, d.Apply(b))
			var lower, upper []byte
			if r.IntN(3) > 0 {
				lower = fmt.Appendf(nil, "%04x", r.IntN(3000))
			}
			if r.IntN(3) > 0 {
				upper = fmt.Appendf(nil, "%04x", r.IntN(3000))
			}
			for _, step := range []func(*Iterator) bool{(*Iterator).Next, (*Iterator).Prev} {
				if a, b := scan(t, disk, lower, upper, step), scan(t, memory, lower, upper, step); !slices.Equal(a, b) {
					t.Fatalf("seed %d: on disk %d rows, in memory %d", seed, len(a), len(b))
				}
			}
		}
		check(t, d.Close())
	})
}

func scan(t *testing.T, tb *Table, lower, upper []byte, step func(*Iterator) bool) []string {
	t.Helper()
	it, err := tb.Scan(lower, upper)
	check(t, err)
	var s []string
	for step(it) {
		s = append(s, fmt.Sprintf("%s=%s@%d", it.Key(), it.Value(), it.Timestamp()))
	}
	if step(it) {
		t.Error("an iterator goes on beyond its end")
	}
	check(t, it.Close())
	return s
}

func TestMemTableSize(t *testing.T) {
	t.Parallel()
	s := newShared(t)
	for tasks, want := range map[int]int{0: 1 << 20, 1: 1 << 20, 2: 512 << 10, 100: 64 << 10} {
		if got := s.MemTableSize(tasks); got != want {
			t.Errorf("MemTableSize(%d) = %d, want %d", tasks, got, want)
		}
	}
}
