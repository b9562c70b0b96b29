package topologytest

import (
	"errors"
	"math/rand/v2"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/engine"
)

// Disk says what a crash leaves of a task's directory.
type Disk struct {
	kind diskKind
	seed uint64
}

type diskKind int

const (
	keep diskKind = iota
	lose
	stale
	tear
)

// These say what a crash leaves of a task's directory.
var (
	// KeepDisk leaves everything that was written, like kill -9.
	KeepDisk = Disk{kind: keep}
	// LoseDisk leaves nothing, like a move of the task to another machine.
	LoseDisk = Disk{kind: lose}
	// StaleDisk is KeepDisk at the worst moment: the open transaction is committed, and
	// the task dies before it has applied the changes to its disk.
	StaleDisk = Disk{kind: stale}
)

// TearDisk leaves only a random part of the unsynced data, like a power failure. It
// cannot be combined with [OnDisk].
func TearDisk(seed uint64) Disk { return Disk{kind: tear, seed: seed} }

// disk is the directory of one task, and the database in it.
type disk struct {
	options engine.Options
	memory  *vfs.MemFS // nil: on disk
	db      *engine.DB
}

// newDisk returns a disk in memory, unless the options have a directory.
func newDisk(o engine.Options) *disk {
	d := &disk{options: o}
	if o.Dir == "" {
		d.options.Dir, d.memory = "state", vfs.NewCrashableMem()
	}
	return d
}

func (d *disk) open() error {
	o := d.options
	if d.memory != nil {
		o.FS = d.memory
	}
	db, err := engine.Open(o)
	d.db = db
	return err
}

// close closes the database, as a process does that ends.
func (d *disk) close() error { return d.end((*engine.DB).Close) }

// abandon closes the database as it is. A log of writes stays for the next open.
func (d *disk) abandon() error { return d.end((*engine.DB).Abandon) }

func (d *disk) end(how func(*engine.DB) error) error {
	if d.db == nil {
		return nil
	}
	db := d.db
	d.db = nil
	return how(db)
}

var errTearOnDisk = errors.New("TearDisk needs state in memory: remove the option OnDisk")

// crash closes the database, and leaves the disk as the crash does.
func (d *disk) crash(how Disk) error {
	if how.kind == lose {
		if d.memory != nil {
			d.memory = vfs.NewCrashableMem()
			return d.abandon()
		}
		return d.end((*engine.DB).Destroy)
	}
	if d.memory == nil {
		if how.kind == tear {
			return errTearOnDisk
		}
		return d.abandon()
	}
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(how.seed, 0))}
	if how.kind == tear {
		cfg.UnsyncedDataPercent = 50
	}
	left := d.memory.CrashClone(cfg)
	err := d.abandon()
	d.memory = left
	return err
}
