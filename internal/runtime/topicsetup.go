package runtime

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/topics"
)

// foreign are the topics of a topology that the application does not create.
type foreign struct{ inputs, outputs []string }

// foreignTopics returns the foreign topics of a graph, with the dead letter topic if
// there is one.
func foreignTopics(g *graph.Graph, deadLetters string) (f foreign) {
	for _, n := range g.Nodes {
		for _, t := range n.Topics {
			if !t.Internal && !slices.Contains(f.inputs, t.Name) {
				f.inputs = append(f.inputs, t.Name)
			}
		}
	}
	for _, global := range g.Globals {
		f.inputs = append(f.inputs, global.Topic.Name)
	}
	for _, n := range g.Nodes {
		if n.Kind == graph.Sink && !n.SinkTopic.Internal {
			f.addOutput(n.SinkTopic.Name)
		}
	}
	f.addOutput(deadLetters)
	return f
}

func (f *foreign) addOutput(topic string) {
	if topic != "" && !slices.Contains(f.inputs, topic) && !slices.Contains(f.outputs, topic) {
		f.outputs = append(f.outputs, topic)
	}
}

// missingError names topics that do not exist.
type missingError foreign

func (e *missingError) Error() string {
	var parts []string
	if len(e.inputs) > 0 {
		parts = append(parts, "the application reads "+strings.Join(e.inputs, ", "))
	}
	if len(e.outputs) > 0 {
		parts = append(parts, "the application writes "+strings.Join(e.outputs, ", "))
	}
	return "topics do not exist: " + strings.Join(parts, "; ") + ": create them, correct their names, or set Config.WaitForTopics"
}

// topicSetup finds the topics at the start, and creates the internal ones.
type topicSetup struct {
	*life
	client    *kgo.Client
	catalogue *catalogue
	events    Events
}

// find describes the topics that the application does not create. If some do not exist,
// it waits for them or returns an error.
func (t *topicSetup) find(wanted foreign, wait bool) error {
	logged := false
	return t.untilReachable("looking for topics", func(ctx context.Context) error {
		for {
			described, err := topics.Find(ctx, t.client, slices.Concat(wanted.inputs, wanted.outputs))
			if err != nil {
				return err
			}
			absent := &missingError{missingOf(described, wanted.inputs), missingOf(described, wanted.outputs)}
			if len(absent.inputs)+len(absent.outputs) == 0 {
				t.catalogue.add(described)
				return nil
			}
			if !wait {
				return absent
			}
			if !logged {
				t.log.Warn("waiting for topics", "inputs", absent.inputs, "outputs", absent.outputs)
				logged = true
			}
		}
	})
}

func missingOf(described map[string]topics.Topic, names []string) []string {
	var missing []string
	for _, name := range names {
		if described[name].Missing {
			missing = append(missing, name)
		}
	}
	return missing
}

// ensure creates the missing internal topics, and checks the others.
func (t *topicSetup) ensure(specs []topics.Spec) error {
	return t.untilReachable("preparing internal topics", func(ctx context.Context) error {
		described, err := topics.Ensure(ctx, t.client, specs)
		t.catalogue.add(described)
		if err == nil {
			warnOf(t.log, described)
		}
		return err
	})
}

// warnOf logs problems of internal topics that do not stop the application.
func warnOf(log *slog.Logger, described map[string]topics.Topic) {
	for _, name := range slices.Sorted(maps.Keys(described)) {
		topic := described[name]
		if topic.Configs == nil {
			log.Warn("the configuration of an internal topic was not checked, because it could not be read: allow the application the operation DescribeConfigs on it", "topic", name)
		}
		for _, f := range topic.Warnings {
			log.Warn("the configuration of an internal topic is not as the application needs it: run the command", "topic", name, "finding", f.String(), "command", topic.Command)
		}
	}
}
