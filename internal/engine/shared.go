package engine

import (
	"runtime"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// MinMemTable is the smallest size that [Shared.MemTableSize] returns. Tests use it,
// because Pebble allocates a memtable at each open and at each flush.
const MinMemTable = 64 << 10

// DefaultMemory is the memory of a [Shared] that is made without a number: 256 MB.
const DefaultMemory = 256 << 20

const (
	minMemory    = 4 << 20
	maxMemTable  = 4 << 20
	maxOpenFiles = 4096
)

// Shared is shared by all task databases of a process: the block cache, the file cache,
// and the account of the memory of state. Several goroutines may use it.
//
// The memory is divided as follows:
//
//   - a quarter for the block cache;
//   - an eighth for the memtables;
//   - the rest for decoded data of stores and for the filters of their keys. The filters
//     take at most an eighth of the memory.
//
// Uncommitted changes may take half of the decoded data (see [Budget.Over]). Cached rows
// take the rest. The committed state of in-memory stores is not included.
type Shared struct {
	memory int64
	blocks any // a *pebble.Cache
	files  any // a *pebble.FileCache

	cells   int64        // share of the stores, and of the filters of their keys
	filters atomic.Int64 // bytes of the filters
	used    atomic.Int64 // bytes that stores hold: changed rows and cached rows
	dirty   atomic.Int64 // bytes of rows that are not committed yet
	tasks   atomic.Int64 // open budgets that have held something
}

// NewShared divides memory bytes (Config.StateMemory). Zero or less means
// [DefaultMemory]. Less than 4 MB counts as 4 MB.
func NewShared(memory int64) *Shared {
	if memory <= 0 {
		memory = DefaultMemory
	}
	memory = max(memory, minMemory)
	s := &Shared{
		memory: memory,
		blocks: pebble.NewCache(memory / 4),
		files:  pebble.NewFileCache(runtime.GOMAXPROCS(0), maxOpenFiles),
	}
	s.cells = memory - memory/4 - memory/8
	return s
}

// MemTableSize returns the size of each memtable if the process runs n tasks with a
// database: an eighth of the memory divided by n, between 64 KB and 4 MB. Small
// memtables suit commits, which are large batches.
func (s *Shared) MemTableSize(n int) int {
	return int(min(max(s.memory/8/int64(max(n, 1)), MinMemTable), maxMemTable))
}

// Close releases the caches. All databases must be closed before.
func (s *Shared) Close() {
	s.files.(*pebble.FileCache).Unref()
	s.blocks.(*pebble.Cache).Unref()
}

// Used returns the bytes that the stores of the process hold decoded in memory, and how
// many of them are uncommitted changes.
func (s *Shared) Used() (total, uncommitted int64) { return s.used.Load(), s.dirty.Load() }

// takeFilter counts n bytes for the filter of a table's keys, if there is room for them.
func (s *Shared) takeFilter(n int64) bool {
	if s.filters.Add(n) > s.memory/8 {
		s.filters.Add(-n)
		return false
	}
	return true
}

// giveFilter releases n bytes.
func (s *Shared) giveFilter(n int64) { s.filters.Add(-n) }

// decoded returns how many bytes of decoded data the stores may hold.
func (s *Shared) decoded() int64 { return s.cells - s.filters.Load() }

// NewBudget returns the account of one task. Close it with the task.
func (s *Shared) NewBudget() *Budget {
	return &Budget{shared: s}
}

// Budget is a task's account of the bytes that its stores hold in memory, and its
// processors until the next commit. Only the task's goroutine may use it. A nil Budget
// counts nothing and has no bound.
type Budget struct {
	shared *Shared
	used   int64
	dirty  int64
	counts bool // the task counts as one of those that share the memory
	closed bool
}

// Over reports whether uncommitted data takes more of the process's memory than allowed,
// and this task has a part of it. Its worker should then commit.
func (b *Budget) Over() bool {
	return b != nil && b.dirty > 0 && b.shared.dirty.Load() > b.shared.decoded()/2
}

// Dirty returns the bytes of the task's uncommitted changes.
func (b *Budget) Dirty() int64 {
	if b == nil {
		return 0
	}
	return b.dirty
}

// Close ends the account, and releases what unclosed stores still hold. A second Close
// has no effect.
func (b *Budget) Close() {
	if b == nil || b.closed {
		return
	}
	b.add(-b.used)
	b.addDirty(-b.dirty)
	if b.counts {
		b.shared.tasks.Add(-1)
	}
	b.closed = true
}

// Hold counts n bytes that are held outside of the stores until the next commit. A
// negative n releases them.
func (b *Budget) Hold(n int64) {
	b.add(n)
	b.addDirty(n)
}

// Cache counts n bytes that a store keeps to be fast, and may let go at any time;
// negative, it gives them back.
func (b *Budget) Cache(n int64) { b.add(n) }

func (b *Budget) add(n int64) {
	if b == nil || n == 0 {
		return
	}
	if !b.counts {
		b.counts = true
		b.shared.tasks.Add(1)
	}
	b.used += n
	b.shared.used.Add(n)
}

func (b *Budget) addDirty(n int64) {
	if b != nil && n != 0 {
		b.dirty += n
		b.shared.dirty.Add(n)
	}
}

// Crowded reports whether cached rows of this task should be evicted: the process holds
// more than it may, and the task more than its part.
func (b *Budget) Crowded() bool {
	if b == nil {
		return false
	}
	limit := b.shared.decoded()
	return b.shared.used.Load() > limit && b.used > limit/max(b.shared.tasks.Load(), 1)
}
