package millrace

import (
	"fmt"
	"time"
)

// Live answers a liveness probe: it reports whether the process can continue without a
// restart, and why. It is false only after Run has returned an error. It is true while
// the application starts, restores, rebalances or closes, and while brokers are
// unreachable, because a restart would not help. Live does not block.
func (a *App) Live() (ok bool, reason string) {
	if state := a.State(); state != Failed {
		return true, "the application is " + state.String()
	}
	return false, "Run has returned an error"
}

// Ready answers a readiness probe: it reports whether all tasks of the process run and
// the cluster and the group are within reach. If not, the reason says why. A process is
// not ready before it has read the topics of its global stores. A process without tasks
// is ready. Ready does not block.
func (a *App) Ready() (ok bool, reason string) {
	switch state := a.State(); state {
	case Running:
		return true, "all tasks of this process run"
	case Created:
		return false, "Run has not been called"
	case Starting:
		return false, "the application is checking its topics and joining its group"
	case Restoring:
		return false, a.restoringReason()
	case Unreachable:
		return false, a.unreachableReason()
	default:
		return false, "the application is " + state.String()
	}
}

func (a *App) restoringReason() string {
	if run := a.run.Load(); run != nil {
		if all, reading := run.ReadingGlobals(); reading > 0 {
			return fmt.Sprintf("the topics of %d of %d global stores are being read", reading, all)
		}
	}
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
	if !outage.Out() { // the outage has ended since the state was read
		return "the cluster is within reach again"
	}
	return fmt.Sprintf("%s is out of reach since %s: %s", what, outage.Since.Format(time.RFC3339), outage.Reason)
}
