package runtime

import "github.com/millrace-streams/millrace/internal/health"

// phase derives the State of the run from its tasks, its global stores and from what is
// within reach. Global stores are complete before the group is joined.
type phase struct {
	events  Events
	tasks   *tasks
	globals *globals
	health  *health.Tracker
}

// report reports the present state. Call it when something may have changed. Several
// goroutines may report at once. A report that was overtaken is repeated, so that the
// last report is right.
func (p *phase) report() {
	for {
		state := p.state()
		p.events.State(state)
		if p.state() == state {
			return
		}
	}
}

func (p *phase) state() State {
	switch report := p.health.Report(); {
	case report.Cluster.Out() || report.Group.Out():
		return Unreachable
	case p.globals.began.Load() && p.tasks.joined().IsZero():
		return Restoring
	case p.tasks.joined().IsZero():
		return Starting
	}
	if _, restoring := p.tasks.count(); restoring > 0 {
		return Restoring
	}
	return Running
}
