package engine

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A disk is full from the n-th change on, or refuses only that change. The process does
// not end, and the state is not damaged: Apply returns an error, Close returns, and when
// the disk has room again, the database has the state of a commit.
func TestDiskRefusesAChange(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		refusals := 0
		for n := int64(0); ; n += 1 + n/6 {
			if !diskRefuses(t, n, full) {
				break
			}
			refusals++
		}
		if refusals < 20 {
			t.Errorf("full: %v: only %d places to refuse a change: the test tests little", full, refusals)
		}
	}
}

// diskRefuses reports whether there was an n-th change.
func diskRefuses(t *testing.T, n int64, full bool) bool {
	t.Helper()
	const commits = 40
	fs, shared := vfs.NewMem(), NewShared(8<<20)
	defer shared.Close()
	var changes atomic.Int64
	refusing := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpRename, errorfs.OpReuseForWrite, errorfs.OpMkdirAll, errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if at := changes.Add(1) - 1; at == n || full && at > n {
				return syscall.ENOSPC
			}
		}
		return nil
	}))
	d := openDB(t, shared, refusing)
	applied, err := applyCommits(d, commits)
	closed := d.Close()
	if changes.Load() <= n {
		check(t, errors.Join(err, closed))
		return false
	}
	for _, err := range []error{err, closed} {
		if err != nil && !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("change %d: %v, which does not say that the disk is full", n, err)
		}
	}
	if err == nil && closed == nil {
		t.Errorf("change %d (full: %v) was refused, and nobody was told", n, full)
	}

	d = openDB(t, shared, fs)
	tb := table(t, d, "t", true)
	at, ok := d.Position(tb, "t")
	if !ok {
		at = -1
	}
	if at >= int64(applied) {
		t.Errorf("change %d: the state is as of commit %d of %d", n, at, applied)
	}
	for key, value := range rows(t, tb) {
		if want := string(commitValue(int(at))) + fmt.Sprintf("@%d", at); value != want {
			t.Errorf("change %d: %s is of another commit than %d", n, key, at)
		}
	}
	check(t, d.Close())
	return true
}

// applyCommits applies up to n commits. Each replaces all rows. It returns how many
// commits it has passed to the database.
func applyCommits(d *DB, n int) (applied int, err error) {
	tb, err := d.Table("t", true)
	if err != nil {
		return 0, err
	}
	for i := range n {
		b := d.NewBatch()
		for key := range 20 {
			if err := b.Table(tb).Set(fmt.Append(nil, key), int64(i), commitValue(i)); err != nil {
				return i, err
			}
		}
		b.SetPosition(tb, "t", int64(i))
		if err := d.Apply(b); err != nil {
			return i, err
		}
	}
	return n, nil
}

func commitValue(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%04d", i), 1000) }
