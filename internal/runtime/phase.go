package runtime

import "github.com/millrace-streams/millrace/internal/health"

// phase reports what the run is doing, judged by its tasks and by what is within reach.
type phase struct {
	events Events
	tasks  *tasks
	health *health.Tracker
}

// report reports the state of this moment. It is called when something may have changed.
func (p *phase) report() {
	state := Running
	if _, restoring := p.tasks.count(); restoring > 0 {
		state = Restoring
	}
	switch report := p.health.Report(); {
	case report.Cluster.Out() || report.Group.Out():
		state = Unreachable
	case p.tasks.joined().IsZero():
		state = Starting
	}
	p.events.State(state)
}
