package runtime

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
)

// tableTopic is a topic whose records are the rows of a table, or are kept in a global
// store.
type tableTopic struct {
	table, topic string
	global       *graph.Global // nil for a table
}

// topicsOfTables returns the topics of tables and of global stores, sorted. Internal
// topics are not among them.
func topicsOfTables(g *graph.Graph) (all []tableTopic) {
	for _, n := range g.Nodes {
		if !n.Table || len(n.Parents) != 1 || n.Parents[0].Kind != graph.Source {
			continue
		}
		for _, topic := range n.Parents[0].Topics {
			switch {
			case topic.Internal:
			case len(n.Stores) > 0:
				all = append(all, tableTopic{table: n.Stores[0], topic: topic.Name})
			default:
				all = append(all, tableTopic{table: n.Name, topic: topic.Name})
			}
		}
	}
	for _, global := range g.Globals {
		all = append(all, tableTopic{table: global.Store.Name, topic: global.Topic.Name, global: global})
	}
	slices.SortStableFunc(all, func(a, b tableTopic) int { return strings.Compare(a.topic, b.topic) })
	return all
}

// checkTables checks the topics from which tables are restored: the broker must keep the
// newest record of each key.
func (t *topicSetup) checkTables(g *graph.Graph) error {
	var problems []error
	for _, name := range tableTopics(g) {
		topic, _ := t.catalogue.lookup(name)
		policy, known := topic.Configs["cleanup.policy"]
		switch {
		case !known:
			problems = append(problems, fmt.Errorf("table %s: the configuration of its topic, which is its changelog (topology.SourceAsChangelog), cannot be read: "+
				"allow the application the operation DescribeConfigs on topic %s, or remove the option", name, name))
		case strings.TrimSpace(policy) != "compact":
			problems = append(problems, fmt.Errorf("table %s: its topic is its changelog (topology.SourceAsChangelog), but has cleanup.policy=%s, so the broker deletes rows: "+
				"set cleanup.policy=compact on topic %s, or remove the option", name, policy, name))
		}
	}
	return errors.Join(problems...)
}

// warnTables reports topics of tables from which the broker deletes records by their age
// or by the size of the topic. The records of rows that did not change for long are then
// gone.
func (t *topicSetup) warnTables(g *graph.Graph) {
	for _, at := range topicsOfTables(g) {
		topic, _ := t.catalogue.lookup(at.topic)
		policy, known := topic.Configs["cleanup.policy"]
		switch {
		case !known:
			t.log.Warn("whether the broker deletes records from the topic of a table was not checked, because the topic's configuration could not be read: "+
				"allow the application the operation DescribeConfigs on it", "table", at.table, "topic", at.topic)
		case strings.Contains(policy, "delete") && t.catalogue.expires(at.topic):
			told := TableRetention{
				Table: at.table, Topic: at.topic, Global: at.global != nil, Policy: policy, Risk: at.risk(),
				MaxAge: retentionTime(topic.Configs["retention.ms"]), MaxBytes: bound(topic.Configs["retention.bytes"]),
			}
			t.log.Warn("the broker deletes old records from the topic of a table, also those of rows that exist: "+told.Risk,
				"table", told.Table, "topic", told.Topic, "cleanup.policy", policy, "retention.ms", topic.Configs["retention.ms"], "retention.bytes", topic.Configs["retention.bytes"])
			t.events.TableRetention(told)
		}
	}
}

// risk says which rows are missing, and what to do.
func (t tableTopic) risk() string {
	const remedy = "; set cleanup.policy=compact on the topic"
	switch {
	case t.global == nil:
		return "rows that are in the table stay there, but an application that reads the topic later lacks them: a new one, or this one after a reset" + remedy
	case t.global.Store.Spec.InMemory:
		return "each process reads the whole topic at its start, and then lacks these rows, so that processes differ" + remedy
	default:
		return "a process that reads the whole topic, because it is new or has lost its disk, lacks these rows, so that processes differ" + remedy
	}
}

// bound returns the value of a setting in which -1 stands for no bound.
func bound(value string) int64 {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// retentionTime returns the value of retention.ms, -1 if it has no bound.
func retentionTime(value string) time.Duration {
	switch ms := bound(value); {
	case ms < 0:
		return -1
	case ms > math.MaxInt64/int64(time.Millisecond):
		return math.MaxInt64
	default:
		return time.Duration(ms) * time.Millisecond
	}
}
