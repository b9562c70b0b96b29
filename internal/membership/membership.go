// Package membership keeps the process a member of the application's group, and reports
// which tasks the process owns.
//
// # How long a task is owned
//
// The process owns a task from the call of Handler.Assigned until the call of
// Handler.Revoked or Handler.Lost for this task has returned. Before a Revoked has
// returned, the group does not give the task to another process. With Lost, it may
// already have done so.
//
// Commits prove ownership with [Membership.Identity]. An identity is bound to an
// incarnation of the member. When tasks may have been lost, there is no identity until
// everything of the old incarnation has been dropped. Until then commits are refused
// here, before they reach the broker. That is necessary because the client joins again on
// its own. It then has a valid identity, but this identity does not prove that the member
// still owns the partitions of the old incarnation.
package membership

import (
	"context"

	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/txn"
)

// Membership is the process's membership in a group.
type Membership interface {
	// Identity returns the identity for commits of tasks that the process holds now. If
	// there is none, it is empty, and commits must fail.
	Identity() txn.Identity

	// Refresh waits until the current rebalance is over. It then returns the identity
	// that follows stale in the same incarnation. It fails if the tasks may have been
	// lost.
	Refresh(ctx context.Context, stale txn.Identity) (txn.Identity, error)

	// Rejoin makes the group assign the tasks again.
	Rejoin()

	// Stop ends the membership. It calls the handler's Revoked with the remaining tasks.
	// ctx bounds it.
	//
	//   - With leave, the group gives the tasks to other processes immediately.
	//   - Without leave, the tasks wait for this process until its session ends.
	Stop(ctx context.Context, leave bool) error
}

// Handler gets the decisions of the group. Its methods are called one at a time.
type Handler interface {
	// Assigned gives tasks to the process. It must return soon, because the group waits.
	Assigned(generation int32, tasks []taskid.ID)

	// Revoked takes tasks away. When it returns, they have been committed or aborted, and
	// dropped.
	Revoked(generation int32, tasks []taskid.ID)

	// Lost says that tasks have already been taken away: nothing of them can be committed
	// any more. When it returns, they have been dropped.
	Lost(tasks []taskid.ID)

	// Trouble reports an error of the group. If fatal is true, the membership is over,
	// and somebody has to fix the cause.
	Trouble(err error, fatal bool)
}
