package millrace

import (
	"time"

	"github.com/millrace-streams/millrace/internal/health"
)

// Reachability says what the process cannot reach. Run asks each broker for a sign of
// life every second. A broker that does not answer for three to five seconds counts as
// out of reach.
type Reachability struct {
	Cluster Outage         // set if no broker answers
	Group   Outage         // set if the group has no coordinator, or it does not answer
	Brokers []BrokerOutage // sorted by ID
	Contact time.Time      // the last answer of both; zero before the first
}

// Outage says that something is out of reach, since when and why.
type Outage struct {
	Since  time.Time // the last answer, or the first question; zero if there is no outage
	Reason string    // the error of the last question; empty if there is no outage
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
