package engine

import (
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// backlog is a database with compactions that wait. Like Pebble, it holds its mutex when
// it calls TrySchedule and UpdateGetAllowedWithoutPermission.
type backlog struct {
	c *compactions

	mu      sync.Mutex
	waiting int
	allowed int
	running []pebble.CompactionGrantHandle
	most    int  // running at the same time
	closed  bool // Unregister has returned
	late    bool // was called after that
}

func newBacklog(allowed int) *backlog {
	b := &backlog{c: newCompactions(), allowed: allowed}
	b.c.Register(2, b)
	return b
}

func (b *backlog) GetAllowedWithoutPermission() int { return b.allowed }

func (b *backlog) GetWaitingCompaction() (bool, pebble.WaitingCompaction) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late = b.late || b.closed
	return b.waiting > 0, pebble.WaitingCompaction{}
}

func (b *backlog) Schedule(g pebble.CompactionGrantHandle) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.late = b.late || b.closed
	if b.waiting == 0 {
		return false
	}
	b.waiting--
	b.run(g)
	return true
}

func (b *backlog) run(g pebble.CompactionGrantHandle) {
	b.running = append(b.running, g)
	b.most = max(b.most, len(b.running))
}

// wants adds a compaction. It waits if the scheduler refuses it.
func (b *backlog) wants() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.waiting == 0 {
		if ok, g := b.c.TrySchedule(); ok {
			b.run(g)
			return
		}
	}
	b.waiting++
}

// ends ends the oldest compaction.
func (b *backlog) ends() {
	b.mu.Lock()
	g := b.running[0]
	b.running = b.running[1:]
	b.mu.Unlock()
	g.Done()
}

// flushed ends a flush, after which more or fewer compactions are allowed.
func (b *backlog) flushed(allowed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = allowed
	b.c.UpdateGetAllowedWithoutPermission()
}

func (b *backlog) expect(t *testing.T, running, waiting int) {
	t.Helper()
	synctest.Wait()
	if len(b.running) != running || b.waiting != waiting {
		t.Fatalf("%d compactions run and %d wait, want %d and %d", len(b.running), b.waiting, running, waiting)
	}
}

func TestCompactionsWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog(1)
		for range 5 {
			b.wants()
		}
		b.expect(t, 1, 4)
		b.ends()
		b.expect(t, 1, 3)
		b.flushed(2)
		b.expect(t, 2, 2)
		b.flushed(2)
		b.expect(t, 2, 2)
		b.flushed(1)
		b.ends()
		b.expect(t, 1, 2)
		b.ends()
		b.ends()
		b.ends()
		b.expect(t, 0, 0)
		if b.most != 2 {
			t.Errorf("%d compactions ran at the same time, want 2", b.most)
		}
	})
}

func TestCompactionsOfManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog(3)
		for range 100 {
			b.wants()
		}
		for len(b.running) > 0 {
			var ends sync.WaitGroup
			for range len(b.running) {
				ends.Go(b.ends)
			}
			ends.Wait()
		}
		b.expect(t, 0, 0)
		if b.most != 3 {
			t.Errorf("%d compactions ran at the same time, want 3", b.most)
		}
	})
}

func TestCompactionsAfterTheDatabaseIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog(1)
		b.wants()
		b.wants()
		b.flushed(2) // its goroutine may run before or after Unregister
		b.c.Unregister()
		b.mu.Lock()
		b.closed = true
		b.mu.Unlock()
		synctest.Wait()
		for len(b.running) > 0 {
			b.ends()
		}
		if ok, _ := b.c.TrySchedule(); ok {
			t.Error("a closed database got permission to compact")
		}
		if b.late {
			t.Error("the database was called after Unregister had returned")
		}
	})
}

// A process may hold hundreds of idle databases, so none may have a goroutine that wakes
// up by a timer.
func TestIdleDatabaseHasNoTimer(t *testing.T) {
	db := openDB(t, newShared(t), vfs.NewMem())
	defer db.Close()
	table(t, db, "rows", true)
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if strings.Contains(string(stacks), "periodicGranter") {
		t.Error("Pebble's scheduler of compactions runs, which wakes up every 100 ms")
	}
}
