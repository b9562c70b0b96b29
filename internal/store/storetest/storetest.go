// Package storetest opens stores without a task, for tests: a database on a file system
// in memory that can lose what was not synced, a clock that is a number, changelogs that
// are slices, and commits, aborts, crashes and restores at the test's will.
package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

const dir = "state"

// Record is a record of a changelog. A nil Value is a tombstone.
type Record struct {
	Key, Value []byte
	Timestamp  int64
	Format     uint8 // of the value

	compacted bool
}

// Task is the part of a task that stores see. It is for one goroutine.
type Task struct {
	DB     *engine.DB
	Shared *engine.Shared
	Budget *engine.Budget

	EveryUpdate bool // of the stores opened next
	SweepRows   int  // of the databases opened next; see engine.Options
	Again       bool // a store has asked for another commit
	Converted   int  // how often a store has called engine.Env.Converted

	// What the stores have read. A test may set it to zero.
	Reads engine.Reads

	t      testing.TB
	fs     *vfs.MemFS
	now    int64
	stream streamTimes
	stores []*open
	batch  *engine.Batch // begun and not finished

	// What Kafka keeps.
	changelogs map[string][]Record
	starts     map[string]int64 // of the changelogs: records before were trimmed
	times      map[string]int64 // with the committed offsets
}

// streamTimes is a stream time: the present one, that of the last Begin, and the
// committed one.
type streamTimes struct{ now, begun, committed int64 }

type open struct {
	spec    *store.Spec
	store   engine.Store
	table   *engine.Table
	time    int64
	flushed int64 // time, at the last Begin
	pending []Record
	begun   []Record
}

// New returns a task with an empty database and memory bytes for its state (0: the
// default).
func New(t testing.TB, memory int64) *Task {
	t.Helper()
	k := &Task{
		t:          t,
		stream:     streamTimes{-1, -1, -1},
		fs:         vfs.NewCrashableMem(),
		Shared:     engine.NewShared(memory),
		changelogs: map[string][]Record{},
		starts:     map[string]int64{},
		times:      map[string]int64{},
	}
	k.Budget = k.Shared.NewBudget()
	k.openDB()
	t.Cleanup(func() {
		k.closeStores()
		k.check(k.DB.Abandon())
		k.Budget.Close()
		if used, dirty := k.Shared.Used(); used != 0 || dirty != 0 {
			t.Errorf("stores have not given back %d bytes of memory, %d of them uncommitted", used, dirty)
		}
		k.Shared.Close()
	})
	return k
}

func (k *Task) check(err error) {
	if err != nil {
		k.t.Helper()
		k.t.Fatal(err)
	}
}

func (k *Task) openDB() {
	k.t.Helper()
	db, err := engine.Open(engine.Options{Dir: dir, FS: k.fs, Shared: k.Shared, MemTableSize: engine.MinMemTable, SweepRows: k.SweepRows, Reads: &k.Reads})
	k.check(err)
	k.DB = db
}

// SetNow sets the timestamp that writes get. It is the timestamp of the current record,
// so it moves stream time.
func (k *Task) SetNow(ms int64) { k.now, k.stream.now = ms, max(k.stream.now, ms) }

// StreamTime returns the stream time.
func (k *Task) StreamTime() int64 { return k.stream.now }

// Open opens a store: it restores its table from the changelog first. It must be called
// again after Abort, Restart, Crash and LoseDisk.
func (k *Task) Open(spec processor.StoreSpec) engine.Store {
	k.t.Helper()
	s, err := store.Of(spec)
	k.check(err)
	table, err := k.DB.Table(s.StoreName(), s.Persistent())
	k.check(err)
	k.check(s.Prepare(table))
	k.restore(s, table)
	o := &open{spec: s, table: table, time: -1}
	if at, ok := k.times[s.StoreName()]; ok {
		o.time = at
	}
	env := engine.Env{
		Table:       table,
		Budget:      k.Budget,
		Now:         func() int64 { return k.now },
		EveryUpdate: k.EveryUpdate,
		StreamTime:  k.StreamTime,
		Again:       func() { k.Again = true },
		Time:        &o.time,
		Converted:   func(int64, bool) { k.Converted++ },
	}
	if s.Logged() {
		format := s.Migrations.Newest()
		env.Log = func(key, value []byte, timestamp int64, _ *engine.Origin) error {
			record := Record{Key: key, Value: value, Timestamp: timestamp}
			if value != nil { // deletions have no headers
				record.Format = format
			}
			o.pending = append(o.pending, record)
			return nil
		}
	}
	o.store, err = s.Open(env)
	k.check(err)
	k.stores = append(k.stores, o)
	return o.store
}

// restore applies what the changelog has beyond the table's position.
func (k *Task) restore(s *store.Spec, table *engine.Table) {
	k.t.Helper()
	name := s.StoreName()
	from, _ := k.DB.Position(table, name)
	records := k.changelogs[name]
	if from > int64(len(records)) {
		k.t.Fatalf("store %s: position %d is beyond the changelog's end %d", name, from, len(records))
	}
	if from < k.starts[name] {
		k.check(k.DB.Wipe(table, name, "its changelog begins later"))
		from = k.starts[name]
	}
	b := k.DB.NewBatch()
	for i, r := range records[from:] {
		if r.compacted {
			continue
		}
		b.Table(table).Logged(from + int64(i))
		k.check(s.Restore(b.Table(table), r.Key, engine.Stored{Value: r.Value, Timestamp: r.Timestamp, Format: r.Format}))
	}
	b.SetPosition(table, name, int64(len(records)))
	k.check(k.DB.Apply(b))
}

// Commit commits what the stores have changed.
func (k *Task) Commit() {
	k.t.Helper()
	k.Begin()
	k.Finish()
}

// Begin flushes the stores, as the first half of a commit.
func (k *Task) Begin() {
	k.t.Helper()
	k.batch = k.DB.NewBatch()
	k.stream.begun = k.stream.now
	for _, o := range k.stores {
		rows := k.batch.Table(o.table)
		if at, ok := k.DB.Position(o.table, o.spec.StoreName()); ok {
			rows.Logged(at)
		}
		k.check(o.store.Flush(rows))
		o.begun, o.pending = o.pending, nil
		o.flushed = o.time
	}
}

// Finish is the second half: Kafka has confirmed the transaction, the database follows.
func (k *Task) Finish() {
	k.t.Helper()
	k.confirm()
	k.check(k.DB.Apply(k.batch))
	k.batch = nil
	for _, o := range k.stores {
		o.store.Committed()
	}
}

// confirm makes what Begin flushed a part of the changelogs.
func (k *Task) confirm() {
	k.stream.committed = k.stream.begun
	for _, o := range k.stores {
		name := o.spec.StoreName()
		k.changelogs[name] = append(k.changelogs[name], o.begun...)
		k.times[name] = o.flushed
		o.begun = nil
		k.batch.SetPosition(o.table, name, int64(len(k.changelogs[name])))
		k.batch.SetTime(name, o.flushed)
	}
}

// Begun reports whether a commit is between Begin and Finish.
func (k *Task) Begun() bool { return k.batch != nil }

// Abort throws the stores away, with all that is not confirmed.
func (k *Task) Abort() {
	k.t.Helper()
	k.closeStores()
}

func (k *Task) closeStores() {
	for _, o := range k.stores {
		if err := o.store.Close(); err != nil {
			k.t.Errorf("close store %s: %v", o.spec.StoreName(), err)
		}
	}
	k.stores, k.batch = nil, nil
	k.stream.now = k.stream.committed
}

// Restart closes the database and opens it again.
func (k *Task) Restart() {
	k.t.Helper()
	k.closeStores()
	k.check(k.DB.Close())
	k.openDB()
}

// Uncommit is a crash of an at-least-once task between the first Finish and the commit of
// its offsets: the changelogs and the disk have the rows, but no times were committed.
func (k *Task) Uncommit() {
	k.t.Helper()
	k.Restart()
	clear(k.times)
	k.stream.now, k.stream.committed = -1, -1
}

// Crash loses everything in memory, and of what was not synced to the disk all but
// percent. If a commit was begun, Kafka may have confirmed it: confirmed says so.
func (k *Task) Crash(r *rand.Rand, percent int, confirmed bool) {
	k.t.Helper()
	if confirmed && k.batch != nil {
		k.confirm()
	}
	disk := k.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: r})
	k.closeStores()
	k.check(k.DB.Abandon())
	k.fs = disk
	k.openDB()
}

// LoseDisk is a restart on an empty disk.
func (k *Task) LoseDisk() {
	k.t.Helper()
	k.closeStores()
	k.check(k.DB.Destroy())
	k.openDB()
}

// Disk returns a copy of the disk as it is, for UseDisk.
func (k *Task) Disk() *vfs.MemFS {
	return k.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))})
}

// UseDisk is a restart on another disk, for example that of a process that had the task
// before.
func (k *Task) UseDisk(disk *vfs.MemFS) {
	k.t.Helper()
	k.closeStores()
	k.check(k.DB.Abandon())
	k.fs = disk
	k.openDB()
}

// TrimChangelog deletes the records of a window store's changelog that are not needed any
// more, and returns the offset at which it begins.
func (k *Task) TrimChangelog(store string) int64 {
	for _, o := range k.stores {
		if o.spec.StoreName() == store {
			k.starts[store] = max(k.starts[store], k.DB.LiveFrom(o.table, store))
		}
	}
	return k.starts[store]
}

// CompactChangelog deletes all records but the last one of each key, as a broker does.
// Deletions stay.
func (k *Task) CompactChangelog(store string) {
	seen := map[string]bool{}
	records := k.changelogs[store]
	for i := len(records) - 1; i >= 0; i-- {
		records[i].compacted = seen[string(records[i].Key)]
		seen[string(records[i].Key)] = true
	}
}

// Changelog returns the confirmed records of a store's changelog, oldest first.
func (k *Task) Changelog(store string) []Record { return k.changelogs[store] }

// Pending returns the records that open stores have logged and that are not confirmed.
func (k *Task) Pending(store string) []Record {
	for _, o := range k.stores {
		if o.spec.StoreName() == store {
			return append(append([]Record(nil), o.begun...), o.pending...)
		}
	}
	return nil
}

// Rows returns the committed rows of a table as text, for comparisons.
func (k *Task) Rows(store string) map[string]string {
	k.t.Helper()
	s, err := k.DB.Snapshot()
	k.check(err)
	it, err := s.Scan(store, nil, nil)
	k.check(err)
	rows := map[string]string{}
	for it.Next() {
		rows[string(bytes.Clone(it.Key()))] = fmt.Sprintf("%s@%d", it.Value(), it.Timestamp())
	}
	k.check(it.Close())
	k.check(s.Close())
	return maps.Clone(rows)
}
