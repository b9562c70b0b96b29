package runtime

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/topics"
)

// matching finds the topics that match the patterns of the topology. Everything else in a
// run sees plain topics. When another topic matches, the run is renewed.
type matching struct {
	*life
	client      *kgo.Client
	application string
	graph       *graph.Graph
	every       time.Duration

	// known are topics that matched in an earlier run of this process, or when that run
	// was renewed. Brokers with old metadata may not list them.
	known []string
	// first are the topics that matched at the first look. It is nil before.
	first []string
	// waits is called before the run waits for a first topic.
	waits func(context.Context) error
	// more are the topics for which the run is renewed. Only the goroutine of watch
	// writes them, before the run ends.
	more []string
	wake chan struct{} // see expect
}

func newMatching(l *life, client *kgo.Client, cfg *Config, known []string, every time.Duration, waits func(context.Context) error) *matching {
	return &matching{
		life: l, client: client, application: cfg.ApplicationID, graph: cfg.Graph, every: every, known: known, waits: waits, wake: make(chan struct{}, 1),
	}
}

// used reports whether the topology has a pattern.
func (m *matching) used() bool { return len(m.graph.Patterns()) > 0 }

// resolve returns the graph with the topics that match. While the topology would read no
// topic at all, it waits.
func (m *matching) resolve() (*graph.Graph, error) {
	if !m.used() {
		return m.graph, nil
	}
	err := m.untilReachable("looking for topics that match the patterns of the topology", func(ctx context.Context) error {
		for waits := 1; ; waits++ {
			found, err := m.find(ctx)
			if err != nil {
				return err
			}
			if m.first == nil {
				m.first = append([]string{}, found...)
			}
			resolved, err := m.graph.Resolve(found)
			if err != nil {
				return err
			}
			if m.graph = resolved; slices.ContainsFunc(resolved.SubTopologies, readsTopics) {
				return nil
			}
			if waits == 1 {
				if err := m.waits(ctx); err != nil {
					return err
				}
				m.log.Warn("no topic matches a pattern of the topology; waiting for one", "patterns", texts(m.graph.Patterns()))
			}
			if err := m.looks().Sleep(ctx, waits); err != nil {
				return err
			}
		}
	})
	if err == nil {
		m.tell()
	}
	return m.graph, err
}

func readsTopics(s *graph.SubTopology) bool {
	return slices.ContainsFunc(s.Sources, func(t graph.Topic) bool { return !t.Internal })
}

// tell logs which topics match.
func (m *matching) tell() {
	for _, n := range m.graph.Nodes {
		switch {
		case n.Pattern == nil:
		case len(n.Topics) == 0:
			m.log.Warn("no topic matches the pattern of a source; the operators behind it have no tasks until one exists", "source", n.Name, "pattern", n.Pattern.Text)
		default:
			m.log.Info("topics match the pattern of a source", "source", n.Name, "pattern", n.Pattern.Text, "topics", namesOf(n.Topics))
		}
	}
}

// matched returns the topics that the run reads by patterns.
func (m *matching) matched() (matched []string) {
	for _, n := range m.graph.Nodes {
		if n.Pattern != nil {
			matched = append(matched, namesOf(n.Topics)...)
		}
	}
	return matched
}

func namesOf(topics []graph.Topic) []string {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	return names
}

// find returns the topics that match now.
func (m *matching) find(ctx context.Context) ([]string, error) {
	listed, err := topics.List(ctx, m.client)
	if err != nil {
		return nil, err
	}
	return m.graph.Matching(m.application, slices.Concat(listed, m.known)), nil
}

// looks are the pauses between two looks while a topic is expected.
func (m *matching) looks() backoff.Backoff {
	return backoff.Backoff{First: 100 * time.Millisecond, Last: m.every}
}

// expect makes watch look for topics soon: another process knows one that this process
// does not know.
func (m *matching) expect() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// settled is a number of looks after which looks no longer come sooner than every.
const settled = 30

// watch looks for topics that match, until the run begins to close. If there is another
// one, it renews the run.
func (m *matching) watch() {
	if !m.used() {
		return
	}
	for n := settled; ; n++ {
		expected, ended := m.pause(m.looks().Delay(n))
		if ended || m.look() {
			return
		}
		if expected {
			n = 0
		}
	}
}

// pause waits for d, or until expect is called or the run begins to close.
func (m *matching) pause(d time.Duration) (expected, ended bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return false, false
	case <-m.wake:
		return true, false
	case <-m.soft.Done():
		return false, true
	}
}

// look renews the run if another topic matches.
func (m *matching) look() (renewed bool) {
	ctx, cancel := context.WithTimeout(m.soft, topicsEvery)
	defer cancel()
	found, err := m.find(ctx)
	if err != nil {
		if m.soft.Err() == nil {
			m.log.Warn("could not look for topics that match the patterns; trying again later", "error", err)
		}
		return false
	}
	matched := m.matched()
	more := slices.DeleteFunc(found, func(topic string) bool { return slices.Contains(matched, topic) })
	if len(more) == 0 {
		return false
	}
	m.log.Info("other topics match the patterns of the topology; starting again with them", "topics", more)
	m.more = more
	m.renew()
	return true
}
