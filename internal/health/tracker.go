package health

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// after is how long something must be silent to count as out of reach.
const after = 3 * time.Second

// Outage says that something is out of reach.
type Outage struct {
	Since time.Time // of its last answer; zero while it is within reach
	Err   error     // the result of the last question
}

// Out reports whether there is an outage.
func (o Outage) Out() bool { return !o.Since.IsZero() }

// Broker is a broker that is out of reach.
type Broker struct {
	ID      int32
	Address string
	Outage
}

// Report says what is out of reach at one moment.
type Report struct {
	Cluster Outage
	Group   Outage
	Brokers []Broker // those that are out of reach, by ID
	// Contact is when the cluster and the group answered last, zero before that.
	Contact time.Time
	// Answered says that some broker has ever answered.
	Answered bool
}

// ErrNoBroker says that no broker has answered since the start.
var ErrNoBroker = errors.New("no broker has answered since the start")

// NeverReached returns an error that wraps ErrNoBroker if the cluster is out of reach and
// has been so from the start, else nil.
func (r Report) NeverReached() error {
	if r.Answered || !r.Cluster.Out() {
		return nil
	}
	return fmt.Errorf("%w, which was at %s: %w", ErrNoBroker, r.Cluster.Since.Format(time.RFC3339), r.Cluster.Err)
}

// Round is the result of one round of questions.
type Round struct {
	Brokers []Answer
	Group   error
}

// Answer is the result of the question to one broker.
type Answer struct {
	ID      int32
	Address string
	Err     error
}

// Tracker turns rounds into reports. The zero value is ready: nothing is out of reach.
// Its methods may be called by any goroutine.
type Tracker struct {
	mu      sync.Mutex
	cluster line
	group   line
	brokers map[int32]*line
	report  Report
}

// line is the contact with a broker, the group or the cluster.
type line struct {
	answered time.Time // the first question, before an answer
	failures int       // in a row
}

func (l *line) observe(now time.Time, err error) Outage {
	if err == nil {
		*l = line{answered: now}
		return Outage{}
	}
	if l.answered.IsZero() {
		l.answered = now
	}
	if l.failures++; l.failures < 2 || now.Sub(l.answered) < after {
		return Outage{}
	}
	return Outage{Since: l.answered, Err: err}
}

// Report returns the report of the last round.
func (t *Tracker) Report() Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.report.clone()
}

func (r Report) clone() Report {
	r.Brokers = slices.Clone(r.Brokers)
	return r
}

// Observe adds the result of a round. It returns the report, and whether it differs from
// the previous one in what is out of reach.
func (t *Tracker) Observe(now time.Time, round Round) (r Report, changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	silent := silence(round.Brokers)
	r = Report{Brokers: t.observeBrokers(now, round.Brokers), Contact: t.report.Contact, Answered: t.report.Answered || silent == nil}
	r.Cluster = t.cluster.observe(now, silent)
	r.Group = t.group.observe(now, cmp.Or(silent, round.Group))
	if silent == nil && round.Group == nil {
		r.Contact = now
	}
	changed = !r.same(t.report)
	t.report = r
	return r.clone(), changed
}

// observeBrokers forgets brokers that are no longer asked, because they have left the
// cluster.
func (t *Tracker) observeBrokers(now time.Time, answers []Answer) []Broker {
	asked := map[int32]*line{}
	var out []Broker
	for _, a := range answers {
		l := t.brokers[a.ID]
		if l == nil {
			l = &line{}
		}
		asked[a.ID] = l
		if o := l.observe(now, a.Err); o.Out() {
			out = append(out, Broker{a.ID, a.Address, o})
		}
	}
	t.brokers = asked
	slices.SortFunc(out, func(a, b Broker) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// silence returns why no broker has answered, or nil if one has.
func silence(answers []Answer) error {
	errs := []error{errNoBroker}
	for _, a := range answers {
		if a.Err == nil {
			return nil
		}
		errs = append(errs, a.Err)
	}
	if len(answers) > 0 {
		errs = errs[1:]
	}
	return errors.Join(errs...)
}

var errNoBroker = errors.New("no broker is known")

func (r Report) same(other Report) bool {
	return r.Cluster.Since.Equal(other.Cluster.Since) && r.Group.Since.Equal(other.Group.Since) &&
		slices.EqualFunc(r.Brokers, other.Brokers, func(a, b Broker) bool { return a.ID == b.ID && a.Since.Equal(b.Since) })
}
