package runtime

import (
	"time"

	"github.com/millrace-streams/millrace/internal/health"
)

// watchHealth asks the brokers for signs of life until Run begins to close.
func (s *Run) watchHealth() {
	var before health.Report
	err := health.Watch(s.soft, s.clientOptions(), s.cfg.ApplicationID, &s.health, func(now health.Report) {
		s.logReach(before, now)
		before = now
		s.updateState()
		s.cfg.Events.Reach(now)
	})
	if err != nil {
		s.fail(err)
	}
}

// logReach logs what has changed. While the cluster is out of reach, the group and the
// single brokers say nothing new.
func (s *Run) logReach(before, now health.Report) {
	s.logOutage("the cluster", before.Cluster, now.Cluster)
	if now.Cluster.Out() || before.Cluster.Out() {
		return
	}
	s.logOutage("the group", before.Group, now.Group)
	was := map[int32]bool{}
	for _, b := range before.Brokers {
		was[b.ID] = true
	}
	for _, b := range now.Brokers {
		if !was[b.ID] {
			s.log.Warn("a broker is out of reach", "broker", b.ID, "address", b.Address, "since", b.Since, "error", b.Err)
		}
		delete(was, b.ID)
	}
	for id := range was {
		s.log.Info("a broker is within reach again, or has left the cluster", "broker", id)
	}
}

func (s *Run) logOutage(what string, before, now health.Outage) {
	switch {
	case now.Out() && !before.Out():
		s.log.Warn(what+" is out of reach; tasks wait, and go on when it answers", "since", now.Since, "error", now.Err)
	case before.Out() && !now.Out():
		s.log.Info(what+" is within reach again", "since", before.Since, "outage", time.Since(before.Since))
	}
}
