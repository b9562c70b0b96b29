package millrace

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/millrace-streams/millrace/processor"
)

// Hook is a value that implements one or more of the interfaces HookStateChange,
// HookRebalance, HookRestore, HookCommit, HookError, HookDropped, HookStateWiped and
// HookReachability. More interfaces may be added later.
//
// The goroutines that do the work call hooks, several at once, and wait for them. A hook
// must be safe for that and return quickly. OnCommit, OnError and OnDropped hold up a
// worker, and OnRebalance the group. Two changes of state that follow each other closely
// may be told in the other order; App.State says which is the later one.
//
// A hook may call every method of App and every query, and may end Run's context. Run
// returns ErrRunTwice. None of the calls waits for the work, except Snapshot: if it is
// called in OnCommit, OnError or OnDropped, it waits 200 ms for the worker that calls the
// hook, and leaves out the partitions of its tasks. A hook must not wait for the end of
// Run, which waits for the hook.
//
// A hook that panics is logged, and the work goes on.
type Hook any

// HookStateChange is told when the application's state changes.
type HookStateChange interface {
	OnStateChange(from, to State)
}

// HookRebalance is told about tasks that came and went, after they came and before they
// go.
type HookRebalance interface {
	OnRebalance(Rebalance)
}

// Rebalance says which tasks an assignment of the group gave or took.
type Rebalance struct {
	Generation int32
	Assigned   []processor.Task
	Revoked    []processor.Task
	// Lost is set when the group has given the revoked tasks away already: what was not
	// committed is processed again by another process.
	Lost bool
}

// HookRestore is told how the restoring of a task's stores from their changelogs
// proceeds.
type HookRestore interface {
	OnRestoreProgress(RestoreProgress)
}

// RestoreProgress is the state of the restoring of one store of one task.
type RestoreProgress struct {
	Task      processor.Task
	Store     string
	Changelog string // topic; the partition is Task.Partition
	Position  int64  // next offset to read
	End       int64  // offset at which it is done
	Done      bool
}

// HookCommit is told about each commit, also about those that did not come through.
type HookCommit interface {
	OnCommit(Commit)
}

// Commit is the result of one commit of one worker.
type Commit struct {
	Worker   int
	Tasks    int           // that had something to commit
	Records  int64         // input records that it covers
	Duration time.Duration // of the whole commit
	Err      error         // nil when committed
}

// HookReachability is told when the cluster, the group or a broker gets out of reach, and
// when it is within reach again.
type HookReachability interface {
	OnReachability(Reachability)
}

// HookError is told about each error of a task, with what the error policy said.
type HookError interface {
	OnError(err *processor.Error, action processor.Action)
}

// HookDropped is told about each record that was dropped.
type HookDropped interface {
	OnDropped(Dropped)
}

// Dropped is a record that was dropped, by the rules of an operator or by the error
// policy.
type Dropped struct {
	Task   processor.Task
	Node   string
	Reason string
	// Record is the input record that was being processed. In a punctuator and in Flush
	// there is none, as processor.Metadata says.
	Record processor.Metadata
}

// HookStateWiped is told when the local state of a store is given up, to be restored from
// the changelog's start.
type HookStateWiped interface {
	OnStateWiped(StateWiped)
}

// StateWiped says which store of which task was wiped, and why.
type StateWiped struct {
	Task   processor.Task
	Store  string
	Reason string
}

func isHook(h Hook) bool {
	switch h.(type) {
	case HookStateChange, HookRebalance, HookRestore, HookCommit, HookError, HookDropped, HookStateWiped, HookReachability:
		return true
	}
	return false
}

// each calls f for every hook that is a T. A hook watches: when it panics, the work that
// it was told about goes on.
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
