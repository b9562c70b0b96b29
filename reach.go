package millrace

import (
	"time"

	"github.com/millrace-streams/millrace/internal/health"
)

// Reachability says what the process cannot reach. Each broker is asked for a sign of
// life every second. A broker that does not answer for three to five seconds is out of
// reach.
type Reachability struct {
	Cluster Outage         // no broker answers
	Group   Outage         // the coordinator of the application's group does not answer, or there is none
	Brokers []BrokerOutage // by ID
	Contact time.Time      // when the cluster and the group have answered last; zero before the first answer
}

// Outage says that something is out of reach.
type Outage struct {
	Since  time.Time // of the last answer, or of the first question; zero while it is within reach
	Reason string    // the error of the last question; empty while it is within reach
}

// Out reports whether there is an outage.
func (o Outage) Out() bool { return !o.Since.IsZero() }

// BrokerOutage is a broker of the cluster that is out of reach.
type BrokerOutage struct {
	ID      int32  // negative for a seed broker, before the first answer of the cluster
	Address string // host:port; empty for such a seed broker
	Outage
}

func reachability(r health.Report) Reachability {
	out := Reachability{Cluster: outage(r.Cluster), Group: outage(r.Group), Contact: r.Contact}
	for _, b := range r.Brokers {
		out.Brokers = append(out.Brokers, BrokerOutage{b.ID, b.Address, outage(b.Outage)})
	}
	return out
}

func outage(o health.Outage) Outage {
	if !o.Out() {
		return Outage{}
	}
	return Outage{Since: o.Since, Reason: o.Err.Error()}
}

// watchHealth asks the brokers for signs of life until Run begins to close.
func (s *session) watchHealth() {
	var before health.Report
	err := health.Watch(s.soft, s.clientOptions(), s.cfg.ApplicationID, &s.app.health, func(now health.Report) {
		s.logReach(before, now)
		before = now
		s.updateState()
		told := reachability(now)
		each(s.log, s.hooks, func(h HookReachability) { h.OnReachability(told) })
	})
	if err != nil {
		s.fail(err)
	}
}

// logReach logs what has changed. While the cluster is out of reach, the group and the
// single brokers say nothing new.
func (s *session) logReach(before, now health.Report) {
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

func (s *session) logOutage(what string, before, now health.Outage) {
	switch {
	case now.Out() && !before.Out():
		s.log.Warn(what+" is out of reach; tasks wait, and go on when it answers", "since", now.Since, "error", now.Err)
	case before.Out() && !now.Out():
		s.log.Info(what+" is within reach again", "since", before.Since, "outage", time.Since(before.Since))
	}
}
