package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// host is the task in the view of its nodes: a [graph.Task].
type host struct{ t *Task }

var _ graph.Task = (*host)(nil)

func (h *host) Context() context.Context        { return h.t.ctx }
func (h *host) ID() processor.Task              { return h.t.cfg.ID }
func (h *host) ApplicationID() string           { return h.t.cfg.ApplicationID }
func (h *host) EveryUpdate() bool               { return h.t.cfg.EveryUpdate }
func (h *host) Logger() *slog.Logger            { return h.t.logger }
func (h *host) StreamTime() processor.Timestamp { return h.t.streamTime }
func (h *host) Now() time.Time                  { return h.t.now }
func (h *host) RequestCommit()                  { h.t.commitRequested = true }

func (h *host) SetWriteTime(at processor.Timestamp) (before processor.Timestamp) {
	before, h.t.writeTime = h.t.writeTime, at
	return before
}

func (h *host) Metadata() processor.Metadata {
	if in := h.t.current; in != nil {
		return processor.Metadata{Topic: in.Topic, Partition: in.Partition, Offset: in.Offset}
	}
	return h.t.origin
}

// SetOrigin implements [graph.SetOrigin].
func (h *host) SetOrigin(m processor.Metadata, input any) {
	if m.Topic == "" {
		m = noRecord
	}
	h.t.origin = m
	h.t.originInput, _ = input.(*graph.Input)
}

// Input returns the input record only if there is a dead letter topic. Keeping it would
// hold the whole fetch in memory until the commit.
func (h *host) Input() *graph.Input {
	if h.t.cfg.Policy.DeadLetterTopic == "" {
		return nil
	}
	return h.t.lend(h.t.current)
}

// noRecord is the metadata outside of any record.
var noRecord = processor.Metadata{Partition: -1, Offset: -1}

// ErrNoTopic says that a topic that was chosen for a record does not exist.
var ErrNoTopic = errors.New("there is no such topic: create it, or correct the function that chooses it")

// ErrTopicRefused says that Kafka refuses to tell anything about a topic that was chosen
// for a record.
var ErrTopicRefused = errors.New("the use of this topic is refused by Kafka: allow it to the application, or correct the function that chooses it")

// Partitions fails the task if Kafka could not be asked. The record is not the cause, so
// no policy may skip it.
func (h *host) Partitions(topic string) (int32, error) {
	n, err := h.t.cfg.Out.Partitions(topic)
	if err == nil || errors.Is(err, ErrNoTopic) || errors.Is(err, ErrTopicRefused) {
		return n, err
	}
	e := h.t.errorOf("topic "+topic, processor.Produce, err)
	if h.t.ctx.Err() != nil || graph.IsFinal(err) {
		return 0, h.t.fail(e)
	}
	return 0, h.t.fail(&ReplayError{e})
}

// BufferFull implements [graph.Task].
func (h *host) BufferFull(n *graph.Node, rows int64) {
	if h.t.cfg.Observer != nil {
		h.t.cfg.Observer.BufferFull(n.Name, rows)
	}
}

func (h *host) Drop(n *graph.Node, reason string) {
	t, m := h.t, h.Metadata()
	if t.logger.Enabled(t.ctx, slog.LevelDebug) {
		t.logger.Debug("record dropped", "node", n.Name, "reason", reason, "topic", m.Topic, "partition", m.Partition, "offset", m.Offset)
	}
	t.drop(n.Name, reason, m)
}

func (h *host) Store(name string) (processor.Store, error) {
	if global := h.t.globals[name]; global != nil {
		return global, nil
	}
	for _, s := range h.t.stores {
		if s.instance.StoreName() != name {
			continue
		}
		if instance, ok := s.instance.(processor.Store); ok {
			return instance, nil
		}
		return nil, fmt.Errorf("store %q is internal, so a processor cannot open it: %T", name, s.instance)
	}
	return nil, fmt.Errorf("task %s has no store %q", h.t.cfg.ID, name)
}

func (h *host) OnIdle(n *graph.Node, f func(graph.Idle) (bool, error)) {
	h.t.onIdle(n, f)
}

func (h *host) Schedule(n *graph.Node, kind processor.TimeKind, start time.Time, interval time.Duration, f func(time.Time) error) processor.Schedule {
	return h.t.schedule(n, kind, start, interval, f)
}

// OnFlush keeps the functions in order of node IDs, which is parents first.
func (h *host) OnFlush(n *graph.Node, f func() error) {
	t := h.t
	i := len(t.flushes)
	for i > 0 && t.flushes[i-1].node.ID > n.ID {
		i--
	}
	t.flushes = slices.Insert(t.flushes, i, hook{n, f})
}

func (h *host) OnClose(n *graph.Node, f func() error) {
	h.t.closes = append(h.t.closes, hook{n, f})
}

// Hold implements [graph.Task].
func (h *host) Hold(bytes int64) {
	h.t.held += bytes
	h.t.cfg.Budget.Hold(bytes)
}

func (h *host) OnCommitted(f func()) {
	h.t.dirty, h.t.awaited = true, true
	h.t.onCommitted = append(h.t.onCommitted, f)
}

func (h *host) Time(name string) *processor.Timestamp { return h.t.cells.time(name) }
func (h *host) Position(name string) *graph.Position  { return h.t.cells.position(name) }
