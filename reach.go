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
