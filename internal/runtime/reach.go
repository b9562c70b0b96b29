package runtime

import (
	"time"

	"github.com/millrace-streams/millrace/internal/health"
)

// reach asks the brokers for signs of life, and reports what is out of reach.
type reach struct {
	*life
	clients *clients
	group   string
	health  *health.Tracker
	phase   *phase
	events  Events
}

// run asks until the run begins to close.
func (r *reach) run() {
	before := r.health.Report() // of the run that this one continues, if there is one
	err := health.Watch(r.soft, r.clients.options(), r.group, r.health, func(now health.Report) {
		r.logChanges(before, now)
		before = now
		r.phase.report()
		r.events.Reach(now)
	})
	if err != nil {
		r.fail(err)
	}
}

// logChanges logs changes. While the cluster is out of reach, the state of the group and
// of single brokers adds nothing, and is not logged.
func (r *reach) logChanges(before, now health.Report) {
	r.logOutage("the cluster", before.Cluster, now.Cluster)
	if now.Cluster.Out() || before.Cluster.Out() {
		return
	}
	r.logOutage("the group", before.Group, now.Group)
	was := map[int32]bool{}
	for _, b := range before.Brokers {
		was[b.ID] = true
	}
	for _, b := range now.Brokers {
		if !was[b.ID] {
			r.log.Warn("a broker is out of reach", "broker", b.ID, "address", b.Address, "since", b.Since, "error", b.Err)
		}
		delete(was, b.ID)
	}
	for id := range was {
		r.log.Info("a broker is within reach again, or has left the cluster", "broker", id)
	}
}

func (r *reach) logOutage(what string, before, now health.Outage) {
	switch {
	case now.Out() && !before.Out():
		r.log.Warn(what+" is out of reach; tasks wait until it answers", "since", now.Since, "error", now.Err)
	case before.Out() && !now.Out():
		r.log.Info(what+" is within reach again", "since", before.Since, "outage", time.Since(before.Since))
	}
}
