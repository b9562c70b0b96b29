package topologytest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
)

// Topics declares topics that exist although the topology does not name them: topics that
// a function chooses per record, or that only a later version of the topology reads. Any
// other unnamed topic does not exist: sending to it, or reading it, fails the test. This
// finds misspelled names. A topic that matches a pattern of the topology need not be
// declared: it is created when the test first names it, and the tasks start again, like
// those of an application. A declared one is there from the start.
func Topics(names ...string) Option {
	return func(o *options) { o.topics = append(o.topics, names...) }
}

// known are the topics that exist, by full name. Topics of earlier versions of the
// topology stay.
type known map[string]bool

// add takes the topics that a version of the topology and the options name.
func (k known) add(g *graph.Graph, o options) {
	for _, n := range g.Nodes {
		for _, t := range n.Topics {
			k[t.In(o.applicationID)] = true
		}
		if n.Kind == graph.Sink && n.SinkTopic != (graph.Topic{}) {
			k[n.SinkTopic.In(o.applicationID)] = true
		}
	}
	for _, global := range g.Globals {
		k[global.Topic.Name] = true
	}
	for _, s := range g.Stores {
		k[s.Spec.ChangelogTopic(o.applicationID)] = true
	}
	for _, name := range append(o.topics, o.policy.DeadLetterTopic) {
		k[name] = true
	}
	for _, name := range g.Matching(o.applicationID, slices.Collect(maps.Keys(o.partitions))) {
		k[name] = true
	}
	delete(k, "")
}

// checkOptions returns an error if an option refers to a topic that does not exist.
func (k known) checkOptions(o options) error {
	for _, name := range slices.Sorted(maps.Keys(o.partitions)) {
		if !k[name] {
			return fmt.Errorf("option Partitions: %w", k.missing(name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.maxBytes)) {
		if !k[name] {
			return fmt.Errorf("option MaxMessageBytes: %w", k.missing(name))
		}
	}
	return nil
}

func (k known) missing(name string) error {
	return fmt.Errorf("there is no topic %q: use one of %s, or declare it with topologytest.Topics", name, strings.Join(slices.Sorted(maps.Keys(k)), ", "))
}

// must fails the test if the topic does not exist. A topic that matches a pattern is
// created.
func (d *Driver) must(topic string) {
	d.t.Helper()
	switch {
	case d.known[topic]:
	case len(d.graph.Matching(d.o.applicationID, []string{topic})) > 0:
		d.create(topic)
	default:
		d.t.Fatalf("topologytest: %v", d.known.missing(topic))
	}
}

// create creates a topic that matches a pattern. Like an application that notices one,
// the driver commits, stops its tasks, and starts them again with the topic.
func (d *Driver) create(topic string) {
	d.t.Helper()
	d.known[topic] = true
	if d.failure != nil { // Restart starts the tasks
		if err := d.build(d.topology); err != nil {
			d.failure = errors.Join(d.failure, err)
		}
		return
	}
	d.do(func() error {
		if err := errors.Join(d.commitAll(), d.stop((*disk).close)); err != nil {
			return err
		}
		if err := d.build(d.topology); err != nil {
			return err
		}
		return d.startAgain()
	})
}

// mustRead fails the test if the topic does not exist. A topic that a function has chosen
// for a record exists.
func (d *Driver) mustRead(topic string) {
	d.t.Helper()
	if d.logs.topics[topic] == nil {
		d.must(topic)
	}
}

// chooses reports whether a function of the topology chooses topics.
func (d *Driver) chooses() bool {
	return slices.ContainsFunc(d.graph.Nodes, func(n *graph.Node) bool {
		return n.Kind == graph.Sink && n.SinkTopic == graph.Topic{}
	})
}
