package millrace

import "fmt"

// State is the state of an App.
type State int

const (
	// Created: Run has not been called.
	Created State = iota
	// Starting: Run checks topics, fences its predecessor and joins the group. It does so
	// again when another topic matches a pattern of the topology.
	Starting
	// Restoring: at least one task of this process restores its state. The others run.
	// Before the process joins the group, it is in this state while it reads the topics
	// of global tables.
	Restoring
	// Running: all tasks of this process run. There may be none.
	Running
	// Unreachable: the cluster or the group is out of reach. Tasks keep their state and
	// wait. Snapshot.Reach says since when.
	Unreachable
	// Closing: Run's context has ended, or a task has failed. Workers commit what they
	// can.
	Closing
	// Closed: Run has returned nil.
	Closed
	// Failed: Run has returned an error.
	Failed
)

// String returns the state in lower case.
func (s State) String() string {
	names := [...]string{"created", "starting", "restoring", "running", "unreachable", "closing", "closed", "failed"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("state(%d)", int(s))
	}
	return names[s]
}

// MarshalText returns the same text as String, so that a Snapshot in JSON has the state
// in words. The error is always nil.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
