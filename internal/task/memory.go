package task

import (
	"maps"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Memory keeps what the worker remembers of a task over aborts: how often a record was
// replayed, and which records took too long. It lives as long as the process has the
// task. Only one goroutine at a time may use it.
type Memory struct {
	replays map[place]int
	stalls  map[place]time.Duration
}

// place is where an error happened: the node, and the input record or, without one, the
// call.
type place struct {
	topic     string
	partition int32
	offset    int64
	call      string // while topic is empty: a punctuator or a flush
	node      string
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory { return &Memory{replays: map[place]int{}} }

func placeOf(from processor.Metadata, n *graph.Node) place {
	if from.Topic == "" {
		from.Partition, from.Offset = -1, -1
	}
	return place{topic: from.Topic, partition: from.Partition, offset: from.Offset, node: n.Name}
}

// again counts a replay for the place, and reports whether another one is allowed.
func (m *Memory) again(p place, limit int) bool {
	if m == nil || m.replays[p] >= limit {
		return false
	}
	m.replays[p]++
	return true
}

// attempts returns how many replays the place has had.
func (m *Memory) attempts(p place) int {
	if m == nil {
		return 0
	}
	return m.replays[p]
}

// remembers reports whether a commit may have something to forget.
func (m *Memory) remembers() bool {
	return m != nil && len(m.replays)+len(m.stalls) > 0
}

// forget drops what a commit has settled: records below its offsets, and calls that are
// part of it.
func (m *Memory) forget(offsets []Offset, calls []string) {
	if !m.remembers() {
		return
	}
	past := func(p place) bool {
		if p.topic == "" {
			return slices.Contains(calls, p.call)
		}
		return slices.ContainsFunc(offsets, func(o Offset) bool {
			return o.Topic == p.topic && o.Partition == p.partition && p.offset < o.Offset
		})
	}
	settle(m.replays, past)
	settle(m.stalls, past)
}

func settle[V any](m map[place]V, past func(place) bool) {
	maps.DeleteFunc(m, func(p place, _ V) bool { return past(p) })
}
