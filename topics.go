package millrace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/topics"
)

// topicTable knows the topics that the application uses.
type topicTable struct {
	client *kgo.Client

	mu    sync.RWMutex
	known map[string]topics.Topic
	logs  []string // changelogs
}

func newTopicTable(client *kgo.Client) *topicTable {
	return &topicTable{client: client, known: map[string]topics.Topic{}}
}

func (t *topicTable) add(described map[string]topics.Topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name, topic := range described {
		if !topic.Missing {
			t.known[name] = topic
		}
	}
}

func (t *topicTable) lookup(topic string) (topics.Topic, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	known, ok := t.known[topic]
	return known, ok
}

// Partitions implements worker.Topics. A topic that is chosen per record is looked up when it is met first. That one does not exist is a task.ErrNoTopic.
func (t *topicTable) Partitions(ctx context.Context, topic string) (int32, error) {
	if known, ok := t.lookup(topic); ok {
		return known.Partitions, nil
	}
	described, err := topics.Describe(ctx, t.client, []string{topic})
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", topic, err)
	}
	if described[topic].Missing {
		return 0, fmt.Errorf("topic %s: %w", topic, task.ErrNoTopic)
	}
	t.add(described)
	return described[topic].Partitions, nil
}

// MaxMessageBytes implements worker.Topics.
func (t *topicTable) MaxMessageBytes(topic string) int {
	known, _ := t.lookup(topic)
	return int(known.MaxMessageBytes)
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
		known.MaxMessageBytes, known.Configs = described[topic].MaxMessageBytes, described[topic].Configs
		t.known[topic] = known
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

// setPartitions notes that a topic has another number of partitions now, and returns the one before; changed is false if it is the same.
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

// missingError names topics that do not exist.
type missingError struct{ inputs, outputs []string }

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

// prepareTopics finds the topics of the topology, creates or checks the internal ones, and takes the numbers of partitions.
func (r *session) prepareTopics() error {
	if err := r.findTopics(); err != nil {
		return err
	}
	counts, err := r.graph.PartitionCounts(func(topic string) (int32, error) { return r.topics.Partitions(r.soft, topic) })
	if err != nil {
		return err
	}
	r.layout.counts = counts
	if err := r.checkCounts(); err != nil {
		return err
	}
	for _, u := range r.graph.UnevenStores(counts) {
		r.log.Warn("records with equal keys do not meet in a store: their topics have different numbers of partitions; topology.Repartition would bring them together",
			"store", u.Store, "partitions", u.Counts)
	}
	specs := r.internalTopics()
	return r.untilReachable("preparing internal topics", func(ctx context.Context) error {
		described, err := topics.Ensure(ctx, r.client, specs)
		r.topics.add(described)
		return err
	})
}

// topicsPoll is how often topics are looked for that may be created yet.
const topicsPoll = 500 * time.Millisecond

// findTopics describes the topics that the application does not make itself, and waits for them if it may.
func (r *session) findTopics() error {
	inputs, outputs := r.foreignTopics()
	logged := false
	return r.untilReachable("looking for topics", func(ctx context.Context) error {
		for {
			described, err := topics.Describe(ctx, r.client, slices.Concat(inputs, outputs))
			if err != nil {
				return err
			}
			absent := &missingError{missingOf(described, inputs), missingOf(described, outputs)}
			if len(absent.inputs)+len(absent.outputs) == 0 {
				r.topics.add(described)
				return nil
			}
			if !r.cfg.WaitForTopics {
				return absent
			}
			if !logged {
				r.log.Warn("waiting for topics", "inputs", absent.inputs, "outputs", absent.outputs)
				logged = true
			}
			if err := backoff.Sleep(ctx, topicsPoll); err != nil {
				return err
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

// foreignTopics are the topics of the topology that somebody else has to make.
func (r *session) foreignTopics() (inputs, outputs []string) {
	for _, n := range r.graph.Nodes {
		for _, t := range n.Topics {
			if !t.Internal && !slices.Contains(inputs, t.Name) {
				inputs = append(inputs, t.Name)
			}
		}
	}
	output := func(topic string) {
		if topic != "" && !slices.Contains(inputs, topic) && !slices.Contains(outputs, topic) {
			outputs = append(outputs, topic)
		}
	}
	for _, n := range r.graph.Nodes {
		if n.Kind == graph.Sink && !n.SinkTopic.Internal {
			output(n.SinkTopic.Name)
		}
	}
	output(r.cfg.Errors.DeadLetterTopic)
	return inputs, outputs
}

// internalTopics are those that the application makes.
func (r *session) internalTopics() []topics.Spec {
	var specs []topics.Spec
	for _, p := range r.graph.Repartitions {
		specs = append(specs, topics.Spec{
			Name: p.Topic.In(r.cfg.ApplicationID), Partitions: r.layout.counts[p.Topic], ReplicationFactor: r.cfg.ReplicationFactor, Kind: topics.Repartition,
		})
	}
	for _, sub := range r.graph.SubTopologies {
		for _, store := range sub.Stores {
			spec, ok := store.Spec.(engine.Spec)
			if !ok || spec.Changelog().Kind == engine.NoChangelog {
				continue
			}
			topic := topics.Spec{
				Name: changelogTopic(r.cfg.ApplicationID, store.Name), Partitions: r.layout.tasks(sub.ID), ReplicationFactor: r.cfg.ReplicationFactor,
			}
			if c := spec.Changelog(); c.Kind == engine.WindowedChangelog {
				topic.Kind, topic.Retention = topics.ChangelogWindowed, time.Duration(c.RetentionMs)*time.Millisecond
			}
			specs = append(specs, topic)
			r.topics.logs = append(r.topics.logs, topic.Name)
		}
	}
	return specs
}

const topicsEvery = 10 * time.Second

// watchTopics looks whether the topics that are read, and the changelogs, stay as they were, and how many partitions those have that are written.
func (r *session) watchTopics() {
	every := topicsEvery
	if d := r.app.seams.topicsEvery; d > 0 {
		every = d
	}
	for backoff.Sleep(r.soft, every) == nil {
		ctx, cancel := context.WithTimeout(r.soft, topicsEvery)
		err := r.compareTopics(ctx)
		cancel()
		if err != nil {
			r.fail(err)
			return
		}
	}
}

// compareTopics returns an error if a topic is not what it was when the application started. When Kafka cannot be asked it returns nil.
func (r *session) compareTopics(ctx context.Context) error {
	names := slices.Clone(r.topics.changelogs())
	for t := range r.layout.counts {
		names = append(names, t.In(r.cfg.ApplicationID))
	}
	slices.Sort(names)
	outputs := r.topics.others(names)
	details, err := kadm.NewClient(r.client).ListTopics(ctx, slices.Concat(names, outputs)...)
	if err != nil {
		return nil
	}
	r.updateOutputs(details, outputs)
	for _, name := range names {
		was, _ := r.topics.lookup(name)
		is, ok := details[name]
		switch {
		case !ok || is.Err != nil && !errors.Is(is.Err, kerr.UnknownTopicOrPartition):
		case is.Err != nil:
			return fmt.Errorf("topic %s has disappeared while the application runs: an input has to be made again; for an internal topic, reset the application", name)
		case is.ID != was.ID && was.ID != topics.TopicID{}:
			return fmt.Errorf("topic %s was deleted and created again while the application runs: its offsets mean other records now; restart after "+
				"resetting the offsets of group %s, and the application if the topic is an internal one", name, r.cfg.ApplicationID)
		case int32(len(is.Partitions)) != was.Partitions:
			return fmt.Errorf("topic %s had %d partitions when the application started, and has %d now: %w", name, was.Partitions, len(is.Partitions), errPartitionsChanged)
		}
	}
	return nil
}

// updateOutputs takes over how many partitions the topics have that are only written: from the next transaction on keys go where they then belong. What has become of a
// topic that cannot be described shows when it is written.
func (r *session) updateOutputs(details kadm.TopicDetails, outputs []string) {
	for _, name := range outputs {
		is, ok := details[name]
		if !ok || is.Err != nil || len(is.Partitions) == 0 {
			continue
		}
		if before, changed := r.topics.setPartitions(name, int32(len(is.Partitions))); changed {
			r.log.Info("an output topic has another number of partitions than before", "topic", name, "before", before, "now", len(is.Partitions))
		}
	}
}

const purgeEvery = 30 * time.Second

// purge deletes what has been processed from the repartition topics.
func (r *session) purge() {
	if len(r.graph.Repartitions) == 0 {
		return
	}
	repartition := map[string]bool{}
	for _, p := range r.graph.Repartitions {
		repartition[p.Topic.In(r.cfg.ApplicationID)] = true
	}
	every := purgeEvery
	if d := r.app.seams.purgeEvery; d > 0 {
		every = d
	}
	for backoff.Sleep(r.soft, every) == nil {
		below := map[string]map[int32]int64{}
		for _, t := range r.statuses(r.soft) {
			for _, in := range t.Inputs {
				if !repartition[in.Topic] || in.Committed <= 0 {
					continue
				}
				if below[in.Topic] == nil {
					below[in.Topic] = map[int32]int64{}
				}
				below[in.Topic][in.Partition] = in.Committed
			}
		}
		if err := topics.Purge(r.soft, r.client, below); err != nil && r.soft.Err() == nil {
			r.log.Warn("repartition topics were not purged; tried again later", "error", err)
		}
	}
}
