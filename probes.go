package millrace

import (
	"fmt"
	"time"
)

// Live reports whether the process can go on without being started again, and why. It is
// the answer to a liveness probe. It is false only after Run has returned an error. It is
// true while the application starts, restores, rebalances or closes, and while brokers
// are out of reach, because a restart helps none of these. It does not block.
func (a *App) Live() (ok bool, reason string) {
	if state := a.State(); state != Failed {
		return true, "the application is " + state.String()
	}
	return false, "Run has returned an error"
}

// Ready reports whether all tasks of the process run and the cluster and the group are
// within reach, and if not, why. It is the answer to a readiness probe. A process without
// tasks is ready. It does not block.
func (a *App) Ready() (ok bool, reason string) {
	switch state := a.State(); state {
	case Running:
		return true, "all tasks of this process run"
	case Created:
		return false, "Run has not been called"
	case Starting:
		return false, "the application checks its topics and joins its group"
	case Restoring:
		return false, a.restoringReason()
	case Unreachable:
		return false, a.unreachableReason()
	default:
		return false, "the application is " + state.String()
	}
}

func (a *App) restoringReason() string {
	run := a.started()
	if run == nil {
		return "tasks are being restored"
	}
	all, restoring := run.Held()
	return fmt.Sprintf("%d of %d tasks are being restored", restoring, all)
}

func (a *App) unreachableReason() string {
	reach := a.reach()
	what, outage := "the group", reach.Group
	if reach.Cluster.Out() {
		what, outage = "the cluster", reach.Cluster
	}
	if !outage.Out() { // over since the state was read
		return "the cluster is within reach again"
	}
	return fmt.Sprintf("%s is out of reach since %s: %s", what, outage.Since.Format(time.RFC3339), outage.Reason)
}
