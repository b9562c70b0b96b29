package millrace

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/millrace-streams/millrace/processor"
)

// Hook is a value that implements one or more of the interfaces HookStateChange,
// HookRebalance, HookRestore, HookCommit, HookError, HookDropped, HookBufferFull,
// HookStateWiped, HookMigrated, HookTableRetention and HookReachability. More interfaces
// may be added later.
//
// Hooks are called by the goroutines that do the work, several at once, and these wait
// for the hook. A hook must therefore be safe for concurrent use and return quickly.
// OnCommit, OnError, OnDropped, OnBufferFull and OnMigrated hold up a worker, OnRebalance
// holds up the group, and OnTableRetention the start. Two state changes that follow each
// other closely may be reported in the wrong order; App.State returns the later one.
//
// A hook may call every method of App and every query, and may end Run's context.
//
//   - Run returns ErrRunTwice.
//   - Snapshot called in OnCommit, OnError, OnDropped, OnBufferFull or OnMigrated waits
//     200 ms for the worker that calls the hook, and omits the partitions of its tasks.
//     No other call waits for the work.
//   - A hook must not wait for the end of Run, because Run waits for the hook.
//
// If a hook panics, the panic is logged and the work continues.
type Hook any

// HookStateChange is told when the application's state changes.
type HookStateChange interface {
	OnStateChange(from, to State)
}

// HookRebalance is told about tasks that were assigned or revoked: after an assignment,
// and before a revocation.
type HookRebalance interface {
	OnRebalance(Rebalance)
}

// Rebalance says which tasks the group has assigned or revoked.
type Rebalance struct {
	Generation int32
	Assigned   []processor.Task
	Revoked    []processor.Task
	// Lost is set if the group has already given the revoked tasks to other processes.
	// These process again what was not committed.
	Lost bool
}

// HookRestore is told about the progress of restoring a task's stores from their
// changelogs.
type HookRestore interface {
	OnRestoreProgress(RestoreProgress)
}

// RestoreProgress is the progress of restoring one store of one task, or of reading one
// partition of a global store's topic. The Task of a global store is Global, and its
// Partition is that of the topic.
type RestoreProgress struct {
	Task      processor.Task
	Store     string
	Changelog string // or a global store's topic; the partition is Task.Partition
	Position  int64  // the next offset to read
	End       int64  // the offset at which the restore is done
	Done      bool
}

// HookCommit is told about each commit, including failed ones.
type HookCommit interface {
	OnCommit(Commit)
}

// Commit is the result of one commit of one worker.
type Commit struct {
	Worker   int
	Tasks    int           // tasks that had something to commit
	Records  int64         // input records in the commit
	Duration time.Duration // of the whole commit
	Err      error         // nil if it succeeded
}

// HookReachability is told when the cluster, the group or a broker becomes unreachable,
// and when it can be reached again.
type HookReachability interface {
	OnReachability(Reachability)
}

// HookError is told about each error of a task, with the decision of the error policy.
type HookError interface {
	OnError(err *processor.Error, action processor.Action)
}

// HookDropped is told about each record that was dropped.
type HookDropped interface {
	OnDropped(Dropped)
}

// Dropped is a record that was dropped by an operator or by the error policy.
type Dropped struct {
	Task   processor.Task
	Node   string
	Reason string
	// Record is the input record that was being processed. A punctuator and Flush have
	// none; see processor.Metadata.
	Record processor.Metadata
}

// HookBufferFull is told when topology.Table.Suppress passes rows on before their time,
// because MaxRecords or MaxBytes is exceeded.
type HookBufferFull interface {
	OnBufferFull(BufferFull)
}

// BufferFull says how many rows were passed on early, by which node of which task.
type BufferFull struct {
	Task processor.Task
	Node string
	Rows int64 // since the last call
}

// HookStateWiped is told when the local state of a store is deleted, to be restored from
// the start of the changelog.
type HookStateWiped interface {
	OnStateWiped(StateWiped)
}

// StateWiped says which store of which task was wiped, and why.
type StateWiped struct {
	Task   processor.Task
	Store  string
	Reason string
}

// HookMigrated is told when all rows of a store in one task have the newest format of its
// values, after a change with topology.Migrate or state.Migrate. It is also told if no
// row had to be converted, unless the store is empty. If the process dies right after
// the last commit of a conversion, the hook is not told. The next start then only logs
// that the end of the migration is recorded.
type HookMigrated interface {
	OnMigrated(Migrated)
}

// Migrated says which store of which task is converted.
type Migrated struct {
	Task   processor.Task
	Store  string
	Format int   // the number of the newest format: 1 after the first migration
	Rows   int64 // that were converted since the task was last opened
}

// HookTableRetention is told when the application starts and the broker deletes records
// of the topic of a table, or of a global table or store. The topic then does not have
// all rows of the table, so a process that reads it later lacks rows.
//
// The settings of the topics are read once in each start. OnTableRetention is called once
// for each such table. If a SourcePattern matches another topic, the application starts
// again, and OnTableRetention is called again. A later change of a topic's settings is
// reported by the next start.
type HookTableRetention interface {
	OnTableRetention(TableRetention)
}

// TableRetention says which table has a topic from which the broker deletes records by
// their age or by the size of the topic. To keep all rows, set cleanup.policy=compact on
// the topic.
type TableRetention struct {
	Table  string // the name of the table or the global store
	Topic  string
	Global bool   // a global table or store
	Policy string // cleanup.policy of the topic: "delete", or "compact,delete"
	// MaxAge is retention.ms: older records are deleted. -1: no record is too old.
	MaxAge time.Duration
	// MaxBytes is retention.bytes: the oldest records of a partition that is larger are
	// deleted. -1: no partition is too large.
	MaxBytes int64
	Risk     string // which rows may be missing, where, and what to do
}

func isHook(h Hook) bool {
	switch h.(type) {
	case HookStateChange, HookRebalance, HookRestore, HookCommit, HookError, HookDropped, HookBufferFull, HookStateWiped, HookMigrated, HookTableRetention, HookReachability:
		return true
	}
	return false
}

// each calls f for every hook that is a T. If a hook panics, the work that it watches
// goes on.
func each[T any](log *slog.Logger, hooks []Hook, f func(T)) {
	for _, h := range hooks {
		if t, ok := h.(T); ok {
			shielded(log, h, func() { f(t) })
		}
	}
}

func shielded(log *slog.Logger, h Hook, call func()) {
	defer func() {
		if v := recover(); v != nil {
			log.Error("a hook panicked", "hook", fmt.Sprintf("%T", h), "panic", v, "stack", string(debug.Stack()))
		}
	}()
	call()
}
