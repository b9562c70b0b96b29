package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/seam"
)

// ErrClosed is returned by a database that has been closed.
var ErrClosed = errors.New("state database is closed")

// Options are the options of a [DB].
type Options struct {
	// The task's directory. It is created with the first persistent table.
	Dir          string
	FS           vfs.FS       // nil: the disk
	Shared       *Shared      // required
	MemTableSize int          // bytes; 0: 1 MB. See Shared.MemTableSize
	Logger       *slog.Logger // nil: silent

	// SweepRows is how many rows of earlier formats one commit converts. 0: 4000.
	SweepRows int

	// Mistake is a deliberate mistake that tests must find.
	Mistake seam.Mistake

	// NoShortcuts makes every access look the row up in memory, and every read of a row
	// that is not there ask the database: no key filter, no Mark, no KeepNewest. For
	// tests and measurements.
	NoShortcuts bool

	// Reads counts the reads of the tasks' tables. nil: nobody counts. For tests.
	Reads *Reads
}

// DB is the database of one task: its stores' tables, and the data that is committed with
// them. Several goroutines may call its methods. Only one goroutine at a time may use a
// Table or a Batch. A table in memory must not be read while a batch that changes it is
// applied, except through a Snapshot.
//
// Tables of in-memory stores, their changelog positions and topic IDs live as long as the
// DB. All others are on disk, in one Pebble database. A task without persistent tables
// creates no directory; its operator times are in memory too.
type DB struct {
	o   Options
	log *slog.Logger

	// mu guards the following fields, and makes the application of a batch atomic for
	// Snapshot.
	mu        sync.Mutex
	snapshots map[*Snapshot]struct{} // open snapshots
	closed    bool
	tables    map[string]*Table

	disk      *disk
	pebble    any // a *pebble.DB; nil before the first persistent table
	ids       map[string]uint32
	lastID    uint32
	positions map[string]int64
	topicIDs  map[string][16]byte
	times     map[string]int64
	intervals intervals
	swept     map[string]uint8 // formats, by Table.metaName; see Table.Swept
	version   uint64           // of the layout on disk
	// Offsets of the segments, by table; see segments.go.
	firsts map[string]map[int64]int64
	stamp  time.Time

	background sync.WaitGroup // reads of knownKeys
	closing    atomic.Bool    // tells background to end
}

// Open returns the task's database. Nothing on disk is read or created before the first
// persistent Table.
func Open(o Options) (*DB, error) {
	if o.Shared == nil {
		return nil, errors.New("engine: Options.Shared is nil")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.MemTableSize <= 0 {
		o.MemTableSize = 1 << 20
	}
	if o.SweepRows <= 0 {
		o.SweepRows = sweepRows
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &DB{
		o:         o,
		log:       o.Logger,
		disk:      newDisk(o.FS),
		tables:    map[string]*Table{},
		ids:       map[string]uint32{},
		positions: map[string]int64{},
		topicIDs:  map[string][16]byte{},
		times:     map[string]int64{},
		intervals: intervals{},
		swept:     map[string]uint8{},
		firsts:    map[string]map[int64]int64{},
		snapshots: map[*Snapshot]struct{}{},
	}
	return d, nil
}

// Table returns the table with the given name, and creates it if there is none. The first
// persistent one opens the database on disk. This takes some milliseconds, or more if a
// write-ahead log has to be replayed.
func (d *DB) Table(name string, persistent bool) (*Table, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	if t := d.tables[name]; t != nil {
		if t.Persistent() != persistent {
			return nil, fmt.Errorf("table %s is already open with the other kind of storage (memory or disk)", name)
		}
		return t, nil
	}
	t := &Table{db: d, name: name}
	if persistent {
		id, isNew, err := d.tableID(name)
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", name, err)
		}
		t.prefix, t.firsts = binary.BigEndian.AppendUint32(nil, id), d.firstsOf(name)
		t.known = newKnownKeys(d, t.prefix, isNew)
	} else {
		t.memory, t.firsts = &tree{}, map[int64]int64{}
	}
	d.tables[name] = t
	return t, nil
}

// tableID returns the ID under which the table's rows are stored. A new table gets the
// next ID, and has no rows.
func (d *DB) tableID(name string) (id uint32, isNew bool, err error) {
	if d.pebble == nil {
		if err := d.openPebble(); err != nil {
			return 0, false, err
		}
	}
	if id, ok := d.ids[name]; ok {
		return id, false, nil
	}
	id = d.lastID + 1
	// Pebble recovers a prefix of its writes. If a row of the table is recovered, its
	// name is recovered too.
	if err := database(d).Set(metaKey(metaTable, name), binary.BigEndian.AppendUint32(nil, id), pebble.NoSync); err != nil {
		return 0, false, err
	}
	d.ids[name], d.lastID = id, id
	return id, true, nil
}

// Position returns the position of the table in its changelog topic: the offset to read
// next.
func (d *DB) Position(t *Table, topic string) (int64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, ok := d.positions[t.metaName(topic)]
	return p, ok
}

// TopicID returns the ID that the changelog topic had when the table was filled from it.
func (d *DB) TopicID(t *Table, topic string) ([16]byte, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok := d.topicIDs[t.metaName(topic)]
	return id, ok
}

// Time returns a named operator time.
func (d *DB) Time(name string) (int64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.times[name]
	return at, ok
}

// Times returns a copy of all operator times.
func (d *DB) Times() map[string]int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.times)
}

// Stamp returns the wall clock of the last applied batch with a stamp, or the zero time.
func (d *DB) Stamp() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stamp
}

// Apply makes the changes of b visible: all of them or, after a crash, none. It does not
// wait for the disk. A crash may lose the last batches, but never one without all later
// ones. Afterwards b is empty and may be used again.
//
// After an error nothing of b is visible. Once the disk has refused a change, perhaps one
// of an earlier batch, every Apply fails. The database must then be closed. When it is
// opened again, it has the state of an earlier batch.
func (d *DB) Apply(b *Batch) error {
	if err := errors.Join(b.flushReplays(), b.addBulk()); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	if err := d.refused(); err != nil {
		return err
	}
	if b.pebble != nil && !diskBatch(b).Empty() {
		b.size = diskBatch(b).Len()
		if err := diskBatch(b).Commit(pebble.NoSync); err != nil {
			return fmt.Errorf("apply a commit to the state in %s: %w", d.o.Dir, err)
		}
	}
	b.applyMemory()
	for _, tb := range b.tables {
		tb.table.reader.publish(tb.table)
	}
	b.Reset()
	return nil
}

// Wipe deletes all rows of the table, and the position and ID of its changelog topic (""
// if it has none). It logs the reason.
func (d *DB) Wipe(t *Table, topic, reason string) error {
	d.log.Warn("wiping a store's local state", "store", t.name, "reason", reason)
	b := d.NewBatch()
	defer b.Close()
	if err := b.Table(t).DeleteRange(nil, nil); err != nil {
		return err
	}
	if topic != "" {
		b.forget(t, topic)
	}
	if err := d.Apply(b); err != nil {
		return fmt.Errorf("wipe store %s: %w", t.name, err)
	}
	return nil
}

// Stores returns the names of the tables on disk, opened or not. The database on disk
// must be open.
func (d *DB) Stores() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Sorted(maps.Keys(d.ids))
}

// Drop removes a table on disk that has not been opened, with its positions in the given
// topics and their IDs. It logs the reason.
func (d *DB) Drop(name, reason string, topics ...string) error {
	d.log.Warn("removing a store's local state", "store", name, "reason", reason)
	d.mu.Lock()
	id, known := d.ids[name]
	opened, firsts := d.tables[name] != nil, d.firstsOf(name)
	d.mu.Unlock()
	if !known || opened {
		return fmt.Errorf("store %s does not exist, or is open", name)
	}
	t := &Table{db: d, name: name, prefix: binary.BigEndian.AppendUint32(nil, id), firsts: firsts}
	b := d.NewBatch()
	defer b.Close()
	if err := b.Table(t).DeleteRange(nil, nil); err != nil {
		return err
	}
	for _, topic := range topics {
		b.forget(t, topic)
	}
	b.forgetTable(t)
	if err := d.Apply(b); err != nil {
		return fmt.Errorf("drop store %s: %w", name, err)
	}
	return nil
}

// Flush writes the data that is only in the write-ahead log into tables, so that the next
// Open has nothing to replay.
func (d *DB) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pebble == nil || d.closed {
		return nil
	}
	return errors.Join(database(d).Flush(), d.refused())
}

// refused returns an error if the disk has refused a change.
func (d *DB) refused() error {
	if err := d.disk.refused(); err != nil {
		return fmt.Errorf("the disk refuses changes to the state in %s, so the state stays at an earlier commit: fix the disk (if it is full, make room) and start "+
			"again; the missing changes are then read from Kafka: %w", d.o.Dir, err)
	}
	return nil
}

// Close flushes and closes the database, and ends open snapshots. A second Close has no
// effect.
func (d *DB) Close() error { return d.close(true) }

// Abandon closes the database without flushing it. For tests that have copied the disk,
// as a crash leaves it, or that do not need it any more.
func (d *DB) Abandon() error { return d.close(false) }

func (d *DB) close(flush bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	var err error
	for s := range d.snapshots {
		err = errors.Join(err, s.end(ErrClosed))
	}
	d.snapshots = nil
	d.closing.Store(true)
	d.background.Wait()
	for _, t := range d.tables {
		t.known.giveUp()
	}
	if d.pebble == nil {
		return err
	}
	if flush && d.disk.refused() == nil {
		err = errors.Join(err, database(d).Flush())
	}
	if err = errors.Join(err, database(d).Close(), d.disk.refused()); err != nil {
		return fmt.Errorf("close the state in %s: %w", d.o.Dir, err)
	}
	return nil
}

// Destroy closes the database without flushing it, and removes its directory, whether it
// was opened or not.
func (d *DB) Destroy() error {
	err := d.close(false)
	if rm := d.o.FS.RemoveAll(d.o.Dir); rm != nil && !errors.Is(rm, os.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("remove the state in %s: %w", d.o.Dir, rm))
	}
	return err
}
