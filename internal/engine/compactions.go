package engine

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// compactions decides when the database of one task compacts. It runs as many compactions
// at once as Pebble allows ([pebble.DBForCompaction.GetAllowedWithoutPermission]).
//
// Pebble's own scheduler does the same, but it also looks ten times a second whether more
// is allowed now. Those timers are most of what an idle process does that has a database
// per task. They are not needed, because every event that allows more is reported here:
// the end of a compaction, the end of a flush, and a request of the database.
//
// Locks: Pebble calls TrySchedule and UpdateGetAllowedWithoutPermission with the
// database's mutex held, so mu comes after it. GetWaitingCompaction and Schedule take the
// database's mutex, so they are called without mu.
type compactions struct {
	db pebble.DBForCompaction // set once, by Register

	mu       sync.Mutex
	running  int
	allowed  int  // at the latest look
	granting bool // a goroutine is calling the database
	granted  sync.Cond
	closed   bool // the database must not be called any more
}

func newCompactions() *compactions {
	c := &compactions{}
	c.granted.L = &c.mu
	return c
}

// Register implements [pebble.CompactionScheduler].
func (c *compactions) Register(_ int, db pebble.DBForCompaction) { c.db = db }

// Unregister implements [pebble.CompactionScheduler]. The database is not called after it
// has returned.
func (c *compactions) Unregister() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for c.granting {
		c.granted.Wait()
	}
}

// TrySchedule implements [pebble.CompactionScheduler]. If it refuses, the compaction
// waits. It is started when one of those that run has ended.
func (c *compactions) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || !c.room() {
		return false, nil
	}
	c.running++
	return true, grant{c}
}

// UpdateGetAllowedWithoutPermission implements [pebble.CompactionScheduler]: a flush has
// ended. It may have made so much work that one more compaction is allowed.
func (c *compactions) UpdateGetAllowedWithoutPermission() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.allowed; c.room() && c.allowed > before {
		go c.startWaiting() // the caller holds the database's mutex
	}
}

// room looks how many compactions are allowed now, and reports whether that is more than
// are running.
func (c *compactions) room() bool {
	c.allowed = c.db.GetAllowedWithoutPermission()
	return c.running < c.allowed
}

// startWaiting starts the compactions that wait, as far as they are allowed.
func (c *compactions) startWaiting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.granting {
		c.granted.Wait()
	}
	c.granting = true
	for !c.closed && c.room() && c.startOne() {
	}
	c.granting = false
	c.granted.Broadcast()
}

// startOne starts a compaction that waits, and reports whether there was one. It releases
// mu while it calls the database. The compaction counts before the call, because it can
// end before the call returns.
func (c *compactions) startOne() bool {
	c.running++
	c.mu.Unlock()
	waits, _ := c.db.GetWaitingCompaction()
	started := waits && c.db.Schedule(grant{c})
	c.mu.Lock()
	if !started {
		c.running--
	}
	return started
}

// grant is the permission to run one compaction.
type grant struct{ c *compactions }

func (grant) Started()                                          {}
func (grant) MeasureCPU(pebble.CompactionGoroutineKind)         {}
func (grant) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements [pebble.CompactionGrantHandle]: the compaction has ended.
func (g grant) Done() {
	g.c.mu.Lock()
	g.c.running--
	g.c.mu.Unlock()
	g.c.startWaiting()
}
