package topologytest

import (
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
)

// idleStep is the longest time that Advance lets pass at once if the topology has windows
// that close while their inputs are idle (topology.IdleAfter): as long as production
// waits between two questions to Kafka.
const idleStep = time.Second

// hasIdle reports whether the topology has windows that close while their inputs are
// idle.
func hasIdle(g *graph.Graph) bool {
	for _, n := range g.Nodes {
		if n.IdleAfter > 0 {
			return true
		}
	}
	return false
}

// confirm tells the tasks where their input ends now.
func (d *Driver) confirm() {
	if !hasIdle(d.graph) {
		return
	}
	for _, r := range d.tasks {
		for _, p := range r.inputs {
			end := d.logs.end(p.Topic, p.Partition)
			r.task.Confirm(p.Topic, p.Partition, end, end, d.now)
		}
	}
}

// passIdle confirms the ends of the input, and closes windows that have been idle for
// long enough.
func (d *Driver) passIdle() error {
	d.confirm()
	for _, r := range d.tasks {
		if _, err := d.guard(r.w, func() (int, error) { return r.task.PassIdle(d.now) }); err != nil {
			return err
		}
	}
	return nil
}
