package runtime

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/topics"
)

// topicTable knows the topics that the application uses.
type topicTable struct {
	client *kgo.Client

	mu    sync.RWMutex
	known map[string]topics.Topic
	gone  map[string]bool         // looked for in vain for topics.MissingAfter
	limit map[string]*task.Limits // of known topics
	logs  []string                // changelogs
}

func newTopicTable(client *kgo.Client) *topicTable {
	return &topicTable{client: client, known: map[string]topics.Topic{}, gone: map[string]bool{}, limit: map[string]*task.Limits{}}
}

func (t *topicTable) add(described map[string]topics.Topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, topic := range described {
		if !topic.Missing {
			t.known[name] = topic
			delete(t.gone, name)
			t.limit[name] = task.LimitsOf(topic.Configs)
		}
	}
}

func (t *topicTable) lookup(topic string) (topics.Topic, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	known, ok := t.known[topic]
	return known, ok
}

// Partitions implements worker.Topics. A topic that is chosen per record is looked up
// when it is met first. If it does not exist, the error is a task.ErrNoTopic: the first
// time after topics.MissingAfter, afterwards at once.
func (t *topicTable) Partitions(ctx context.Context, topic string) (int32, error) {
	if known, ok := t.lookup(topic); ok {
		return known.Partitions, nil
	}
	described, err := topics.Find(ctx, t.client, []string{topic}, t.patience(topic))
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", topic, err)
	}
	if described[topic].Missing {
		t.miss(topic)
		return 0, fmt.Errorf("topic %s: %w", topic, task.ErrNoTopic)
	}
	t.add(described)
	return described[topic].Partitions, nil
}

// patience is how long to look for a topic.
func (t *topicTable) patience(topic string) time.Duration {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.gone[topic] {
		return 0
	}
	return topics.MissingAfter
}

func (t *topicTable) miss(topic string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone[topic] = true
}

// noLimits are those of a topic of which nothing is known.
var noLimits = new(task.Limits)

// Limits implements worker.Topics.
func (t *topicTable) Limits(topic string) *task.Limits {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if l := t.limit[topic]; l != nil {
		return l
	}
	return noLimits
}

// Refresh implements worker.Topics.
func (t *topicTable) Refresh(ctx context.Context, topic string) error {
	described, err := topics.Describe(ctx, t.client, []string{topic})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, ok := t.known[topic]; ok {
		known.Configs = described[topic].Configs
		t.known[topic], t.limit[topic] = known, task.LimitsOf(known.Configs)
	}
	return nil
}

func (t *topicTable) changelogs() []string { return t.logs }

// others are the names of the known topics that are not in names.
func (t *topicTable) others(names []string) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var others []string
	for name := range t.known {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	return others
}

// setPartitions notes that a topic has another number of partitions now, and returns the
// one before; changed is false if it is the same.
func (t *topicTable) setPartitions(topic string, n int32) (before int32, changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, ok := t.known[topic]
	if !ok || known.Partitions == n {
		return known.Partitions, false
	}
	before, known.Partitions = known.Partitions, n
	t.known[topic] = known
	return before, true
}

// expires says that the broker may delete records of a topic by itself. It is true also
// if the topic's configuration is not known.
func (t *topicTable) expires(topic string) bool {
	known, _ := t.lookup(topic)
	return known.Configs["retention.ms"] != "-1" || known.Configs["retention.bytes"] != "-1"
}

// deleteRetention is how long a compacted changelog keeps deletions.
func (t *topicTable) deleteRetention(topic string) time.Duration {
	const kafkaDefault = 24 * time.Hour
	known, _ := t.lookup(topic)
	ms, err := strconv.ParseInt(known.Configs["delete.retention.ms"], 10, 64)
	if err != nil {
		return kafkaDefault
	}
	return time.Duration(ms) * time.Millisecond
}
