package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// New opens the stores and makes the nodes, children first, which calls the processors'
// Init. After an error nothing needs to be closed.
func New(cfg Config) (*Task, error) {
	t := &Task{
		cfg:        cfg,
		ctx:        cfg.Context,
		logger:     cfg.Logger,
		byName:     map[Partition]*queue{},
		now:        cfg.Now,
		streamTime: -1,
		writeTime:  -1,
		origin:     noRecord,
		dropped:    map[string]int64{},
		schedules:  [2]schedules{{due: never}, {due: never}},
	}
	if t.ctx == nil {
		t.ctx = context.Background()
	}
	if t.cfg.Misuse == nil {
		t.cfg.Misuse = &Misuse{}
	}
	if t.logger == nil {
		t.logger = slog.New(slog.DiscardHandler)
	}
	t.nodes = &host{t}
	if err := t.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("task %s: %w", t.cfg.ID, err), t.Close())
	}
	return t, nil
}

func (t *Task) open() (err error) {
	defer t.contain(&err)
	values := t.addQueues()
	if err := t.orderQueues(); err != nil {
		return err
	}
	t.eventTime = t.timeBetweenRecords()
	if err := t.openTimes(); err != nil {
		return err
	}
	restored, err := t.restored(newest(values))
	if err != nil {
		return err
	}
	t.cells = newCells(restored)
	t.warnOfLostTimes()
	if err := t.openStores(); err != nil {
		return err
	}
	t.continueWork()
	if err := t.openGlobals(); err != nil {
		return err
	}
	t.starting = true
	if err := t.makeNodes(); err != nil {
		return err
	}
	t.starting = false
	t.linkIdlers()
	return t.over()
}

// parts returns the nodes, stores and topics that the task runs.
func (t *Task) parts() (nodes []*graph.Node, stores []*graph.Store, topics []graph.Topic) {
	for i, sub := range t.cfg.Graph.SubTopologies {
		if t.cfg.Whole || i == t.cfg.ID.SubTopology {
			nodes = append(nodes, sub.Nodes...)
			stores = append(stores, sub.Stores...)
			topics = append(topics, sub.Sources...)
		}
	}
	slices.SortFunc(nodes, func(a, b *graph.Node) int { return a.ID - b.ID })
	return nodes, stores, topics
}

// addQueues makes the input queues, restores their times, and returns the values in the
// rest of the metadata.
func (t *Task) addQueues() (values []map[string]int64) {
	for _, in := range t.cfg.Inputs {
		if _, err := decodeMetadata(in.Metadata); err != nil {
			// A tool that resets offsets may write anything. The offset is used, and the
			// times are taken from elsewhere.
			t.logger.Warn("ignoring the metadata of a committed offset, which cannot be read", "topic", in.Topic, "partition", in.Partition, "error", err)
		}
		m, _ := decodeMetadata(in.Known())
		values = append(values, m.values)
		q := &queue{
			topic: in.Topic, topicID: in.TopicID, mark: in.Mark, partition: in.Partition, partitionTime: m.partitionTime,
			position: in.Offset, next: in.Offset, begun: in.Offset, end: -1, metadata: in.Known(),
		}
		if slices.Contains(t.cfg.Fresh, Partition{in.Topic, in.Partition}) {
			q.begun, t.dirty, t.awaited = -1, true, true
		}
		t.queues = append(t.queues, q)
		t.byName[Partition{in.Topic, in.Partition}] = q
		t.streamTime = max(t.streamTime, m.partitionTime)
	}
	return values
}

// orderQueues sorts the queues by topic, in the order in which the sub-topology names
// them, and then by partition.
func (t *Task) orderQueues() error {
	_, _, topics := t.parts()
	order := make(map[string]int, len(topics))
	for i, topic := range topics {
		order[topic.In(t.cfg.ApplicationID)] = i
	}
	for _, q := range t.queues {
		if _, ok := order[q.topic]; !ok {
			return fmt.Errorf("topic %s is not one that the sub-topology reads", q.topic)
		}
	}
	slices.SortFunc(t.queues, func(a, b *queue) int {
		if a.topic != b.topic {
			return order[a.topic] - order[b.topic]
		}
		return int(a.partition) - int(b.partition)
	})
	return nil
}

// makeNodes makes the instances, children first, so that a parent gets its children.
func (t *Task) makeNodes() error {
	nodes, _, _ := t.parts()
	instances := make(map[*graph.Node]any, len(nodes))
	for _, n := range slices.Backward(nodes) {
		children := make([]any, len(n.Children))
		for i, child := range n.Children {
			children[i] = instances[child]
		}
		instance, err := t.makeNode(n, children)
		if err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		instances[n] = instance
	}
	return t.connectSources(nodes, instances)
}

func (t *Task) makeNode(n *graph.Node, children []any) (instance any, err error) {
	defer graph.Guard(&err)
	return n.New(t.nodes, n, children)
}

func (t *Task) connectSources(nodes []*graph.Node, instances map[*graph.Node]any) error {
	for _, n := range nodes {
		if n.Kind != graph.Source {
			continue
		}
		source, ok := instances[n].(graph.SourceNode)
		if !ok {
			return fmt.Errorf("node %s: %T is not a source", n.Name, instances[n])
		}
		for _, topic := range n.Topics {
			for _, q := range t.queues {
				if q.topic == topic.In(t.cfg.ApplicationID) {
					q.node, q.source, q.awaited = n, source, awaited(n, instances)
				}
			}
		}
	}
	for _, q := range t.queues {
		if q.source == nil {
			return fmt.Errorf("topic %s has no source node", q.topic)
		}
	}
	return nil
}

// Close closes processors, children first, and then stores. Uncommitted changes are lost.
// The database stays open. A second call has no effect.
func (t *Task) Close() error {
	if t.closed {
		return nil
	}
	t.closed = true
	if t.failure == nil {
		t.failure = errClosed
	}
	t.cfg.Budget.Hold(-t.held)
	var errs []error
	slices.SortStableFunc(t.closes, func(a, b hook) int { return b.node.ID - a.node.ID })
	for _, h := range t.closes {
		if err := h.call(); err != nil {
			errs = append(errs, fmt.Errorf("close node %s: %w", h.node.Name, err))
		}
	}
	for _, s := range slices.Backward(t.stores) {
		if err := s.instance.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close store %s: %w", s.instance.StoreName(), err))
		}
	}
	for _, g := range t.globals {
		errs = append(errs, g.Close())
	}
	if t.batch != nil {
		t.batch.Close()
	}
	return errors.Join(errs...)
}

var errClosed = errors.New("the task is closed")

// call calls the function; a panic comes back as an error.
func (h hook) call() (err error) {
	defer graph.Guard(&err)
	return h.f()
}

func panicError(v any) error { return &processor.PanicError{Value: v, Stack: debug.Stack()} }
