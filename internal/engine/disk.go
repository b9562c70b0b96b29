package engine

import (
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// disk is the file system of a database, until it refuses a change because it is full,
// read-only or broken. After that no change reaches the disk, as if the process had been
// killed. Pebble would end the whole process at some refusals, so it is told that its
// writes succeed. The disk then has the state of some commit, as after any kill. The user
// of the database calls refused, and closes the database.
type disk struct {
	vfs.FS
	refusal atomic.Pointer[error]
	scratch vfs.FS // files that were created after the refusal
}

func newDisk(on vfs.FS) *disk { return &disk{FS: on, scratch: vfs.NewMem()} }

// refused returns the first refusal, or nil.
func (d *disk) refused() error {
	if err := d.refusal.Load(); err != nil {
		return *err
	}
	return nil
}

// refuse notes an error of a change.
func (d *disk) refuse(err error) { d.refusal.CompareAndSwap(nil, &err) }

// Create implements vfs.FS.
func (d *disk) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.make(name, category, func() (vfs.File, error) { return d.FS.Create(name, category) })
}

// ReuseForWrite implements vfs.FS.
func (d *disk) ReuseForWrite(from, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return d.make(name, category, func() (vfs.File, error) { return d.FS.ReuseForWrite(from, name, category) })
}

func (d *disk) make(name string, category vfs.DiskWriteCategory, onDisk func() (vfs.File, error)) (vfs.File, error) {
	if d.refused() == nil {
		f, err := onDisk()
		if err == nil {
			return &diskFile{File: f, disk: d, table: strings.HasSuffix(name, ".sst")}, nil
		}
		d.refuse(err)
	}
	if err := d.scratch.MkdirAll(d.scratch.PathDir(name), 0o755); err != nil {
		return nil, err
	}
	return d.scratch.Create(name, category)
}

// OpenDir implements vfs.FS.
func (d *disk) OpenDir(name string) (vfs.File, error) {
	f, err := d.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &diskFile{File: f, disk: d}, nil
}

// Open implements vfs.FS.
func (d *disk) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if d.inScratch(name) {
		return d.scratch.Open(name, opts...)
	}
	return d.FS.Open(name, opts...)
}

// Stat implements vfs.FS.
func (d *disk) Stat(name string) (vfs.FileInfo, error) {
	if d.inScratch(name) {
		return d.scratch.Stat(name)
	}
	return d.FS.Stat(name)
}

func (d *disk) inScratch(name string) bool {
	if d.refused() == nil {
		return false
	}
	_, err := d.scratch.Stat(name)
	return err == nil
}

// Rename implements vfs.FS.
func (d *disk) Rename(from, to string) error {
	if d.inScratch(from) {
		return d.scratch.Rename(from, to)
	}
	if d.refused() != nil {
		return nil
	}
	err := d.FS.Rename(from, to)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.refuse(err)
	return nil
}

// Remove implements vfs.FS. A file that cannot be removed does no harm.
func (d *disk) Remove(name string) error {
	switch {
	case d.inScratch(name):
		return d.scratch.Remove(name)
	case d.refused() != nil:
		return nil
	}
	return d.FS.Remove(name)
}

// Unwrap implements vfs.FS.
func (d *disk) Unwrap() vfs.FS { return d.FS }

// diskFile is a file or a directory that was opened for changes.
type diskFile struct {
	vfs.File
	disk *disk
	// table: Pebble retries a table in another file, which is then in memory, and
	// complete.
	table bool
}

// change changes the file.
func (f *diskFile) change(change func() error) error {
	err := f.disk.refused()
	if err == nil {
		if err = change(); err != nil {
			f.disk.refuse(err)
		}
	}
	if f.table {
		return err
	}
	return nil
}

// Write implements vfs.File.
func (f *diskFile) Write(b []byte) (int, error) {
	n := len(b)
	err := f.change(func() (err error) {
		n, err = f.File.Write(b)
		return err
	})
	if err == nil {
		n = len(b)
	}
	return n, err
}

// WriteAt implements vfs.File.
func (f *diskFile) WriteAt(b []byte, at int64) (int, error) {
	n := len(b)
	err := f.change(func() (err error) {
		n, err = f.File.WriteAt(b, at)
		return err
	})
	if err == nil {
		n = len(b)
	}
	return n, err
}

// Preallocate implements vfs.File. It is only advice: without it the file grows with its
// writes.
func (f *diskFile) Preallocate(offset, length int64) error {
	if f.disk.refused() != nil {
		return nil
	}
	return f.File.Preallocate(offset, length)
}

// Sync implements vfs.File.
func (f *diskFile) Sync() error { return f.change(f.File.Sync) }

// SyncData implements vfs.File.
func (f *diskFile) SyncData() error { return f.change(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *diskFile) SyncTo(length int64) (full bool, err error) {
	err = f.change(func() error {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}
