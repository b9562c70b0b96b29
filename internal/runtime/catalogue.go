package runtime

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/topics"
	"github.com/millrace-streams/millrace/internal/transient"
	"github.com/millrace-streams/millrace/internal/txn"
)

// catalogue knows the topics that the application uses.
type catalogue struct {
	client *kgo.Client

	mu    sync.RWMutex
	known map[string]topics.Topic
	// When topics that were looked up, and are not known, were missing for the first
	// time.
	missing map[string]time.Time
	limit   map[string]*task.Limits // of known topics
}

func newCatalogue(client *kgo.Client) *catalogue {
	return &catalogue{client: client, known: map[string]topics.Topic{}, missing: map[string]time.Time{}, limit: map[string]*task.Limits{}}
}

func (c *catalogue) add(described map[string]topics.Topic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, topic := range described {
		if !topic.Missing {
			c.known[name] = topic
			delete(c.missing, name)
			c.limit[name] = task.LimitsOf(topic.Configs)
		}
	}
}

func (c *catalogue) lookup(topic string) (topics.Topic, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	known, ok := c.known[topic]
	return known, ok
}

// id returns the ID of a known topic, else zero.
func (c *catalogue) id(topic string) topics.TopicID {
	known, _ := c.lookup(topic)
	return known.ID
}

// mark returns the mark of a known topic, else 0.
func (c *catalogue) mark(topic string) task.Mark {
	known, _ := c.lookup(topic)
	return task.MarkOf(known.Cluster, known.ID)
}

// Partitions implements worker.Topics. A topic that is chosen per record is looked up at
// its first record.
//
// If it does not exist, the error is a task.ErrNoTopic. Until the topic was missing for
// topics.MissingAfter, Partitions looks again. If ctx ends before, the error is that of
// ctx, and the next call looks for the rest of the time. Afterwards the error comes at
// once.
func (c *catalogue) Partitions(ctx context.Context, topic string) (int32, error) {
	if known, ok := c.lookup(topic); ok {
		return known.Partitions, nil
	}
	for looks := 1; ; looks++ {
		described, err := topics.Describe(ctx, c.client, []string{topic})
		switch {
		case err != nil:
			return 0, whyUnknown(topic, err)
		case !described[topic].Missing:
			c.add(described)
			return described[topic].Partitions, nil
		case c.missed(topic) >= topics.MissingAfter:
			return 0, fmt.Errorf("topic %s: %w", topic, task.ErrNoTopic)
		}
		if err := retries.Sleep(ctx, looks); err != nil {
			return 0, fmt.Errorf("topic %s, which was not there yet: %w", topic, err)
		}
	}
}

// whyUnknown returns the error of a topic that could not be described, as package task
// expects it.
func whyUnknown(topic string, err error) error {
	switch {
	case txn.IsAboutTopic(err):
		return fmt.Errorf("topic %s: %w: %w", topic, task.ErrTopicRefused, err)
	case !transient.Is(err):
		return graph.Final(fmt.Errorf("topic %s: %w", topic, err))
	}
	return fmt.Errorf("topic %s: %w", topic, err)
}

// missed notes that a topic is missing, and returns for how long it has been.
func (c *catalogue) missed(topic string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.missing[topic].IsZero() {
		c.missing[topic] = time.Now()
	}
	return time.Since(c.missing[topic])
}

// noLimits are the limits of a topic about which nothing is known.
var noLimits = new(task.Limits)

// Limits implements worker.Topics.
func (c *catalogue) Limits(topic string) *task.Limits {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if l := c.limit[topic]; l != nil {
		return l
	}
	return noLimits
}

// Refresh implements worker.Topics.
func (c *catalogue) Refresh(ctx context.Context, topic string) error {
	described, err := topics.Describe(ctx, c.client, []string{topic})
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.known[topic]; ok {
		known.Configs = described[topic].Configs
		c.known[topic], c.limit[topic] = known, task.LimitsOf(known.Configs)
	}
	return nil
}

// others returns the names of the known topics that are not in names.
func (c *catalogue) others(names []string) []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var others []string
	for name := range c.known {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	return others
}

// setPartitions sets the number of partitions of a topic. It returns the former number,
// and whether it has changed.
func (c *catalogue) setPartitions(topic string, n int32) (before int32, changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[topic]
	if !ok || known.Partitions == n {
		return known.Partitions, false
	}
	before, known.Partitions = known.Partitions, n
	c.known[topic] = known
	return before, true
}

// expires reports whether the broker may delete records of a topic by itself. It also
// returns true if the topic's configuration is unknown.
func (c *catalogue) expires(topic string) bool {
	known, _ := c.lookup(topic)
	return known.Configs["retention.ms"] != "-1" || known.Configs["retention.bytes"] != "-1"
}

// deleteRetention is how long a compacted changelog keeps deletions.
func (c *catalogue) deleteRetention(topic string) time.Duration {
	const kafkaDefault = 24 * time.Hour
	known, _ := c.lookup(topic)
	ms, err := strconv.ParseInt(known.Configs["delete.retention.ms"], 10, 64)
	if err != nil {
		return kafkaDefault
	}
	return time.Duration(ms) * time.Millisecond
}
