// Package membership keeps the process a member of the application's group, and says which tasks are its own.
//
// # Whose tasks, and until when
//
// A task is the process's own from the call of Handler.Assigned until the call of Handler.Revoked or Handler.Lost that names it has returned. The
// group gives a task to nobody else before a Revoked has returned; with Lost it may have done so already.
//
// [Membership.Identity] is what commits prove ownership with. It is bound to an incarnation of the member: from the moment at which tasks may have been
// lost until everything of the old incarnation has been dropped there is none, and commits are refused here, before the broker sees them. That matters because the client
// joins again on its own: it then has an identity that is valid, and says nothing about the partitions that the old one had.
package membership

import (
	"context"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/txn"
)

// Membership is the process's membership in a group.
type Membership interface {
	// Identity returns what to commit with, for tasks that the process holds now. It is empty while there is none; commits must then fail.
	Identity() txn.Identity

	// Refresh returns the identity that follows stale in the same incarnation, once the rebalance under way is over. It fails if the tasks may have been
	// lost.
	Refresh(ctx context.Context, stale txn.Identity) (txn.Identity, error)

	// Rejoin makes the group assign anew.
	Rejoin()

	// Stop ends the membership. The handler's Revoked is called with what is left. With leave the group hands the tasks to others at once, else they wait for the
	// process until the session ends. ctx bounds it.
	Stop(ctx context.Context, leave bool) error
}

// Handler is told what the group decides. The calls come one at a time.
type Handler interface {
	// Assigned gives tasks to the process. It must return soon: the group waits.
	Assigned(generation int32, tasks []assignment.TaskID)

	// Revoked takes tasks away. When it returns, they have been committed or aborted, and dropped.
	Revoked(generation int32, tasks []assignment.TaskID)

	// Lost says that tasks have been taken away already: nothing of them can be committed any more. When it returns, they have been dropped.
	Lost(tasks []assignment.TaskID)

	// Trouble reports an error of the group. fatal: the membership is over, and only a person can put it right.
	Trouble(err error, fatal bool)
}
