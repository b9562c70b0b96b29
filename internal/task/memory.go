package task

import (
	"hash/maphash"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Memory is what the worker remembers of a task over aborts: how often a record was replayed, and what the broker refused. It lives as long as
// the process has the task; it is used by one goroutine at a time.
type Memory struct {
	replays  map[place]int
	refusals map[place]error
	stalls   map[place]time.Duration
}

// place is where an error happened: the input record (topic is empty in punctuators and flushes), the node, and, if it is about an output, the hash of
// that. A replay makes the same outputs from the same input, so the hash finds it again.
type place struct {
	topic     string
	partition int32
	offset    int64
	node      string
	output    uint64
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{replays: map[place]int{}, refusals: map[place]error{}}
}

// Refused tells that the broker has refused out, which the task sent from the input record from, for good. The shell then aborts; when
// the replay sends the same record again, the error policy gets err (phase Produce) instead. It returns false if out is no record of a sink or
// a repartition topic (a changelog's or a dead letter): then the application must fail with err.
func (m *Memory) Refused(out graph.Output, from processor.Metadata, err error) bool {
	if out.Node == nil {
		return false
	}
	m.refusals[placeOf(from, out.Node).with(&out)] = err
	return true
}

func placeOf(from processor.Metadata, n *graph.Node) place {
	if from.Topic == "" {
		from.Partition, from.Offset = -1, -1
	}
	return place{topic: from.Topic, partition: from.Partition, offset: from.Offset, node: n.Name}
}

var outputSeed = maphash.MakeSeed()

// with returns the place of an output.
func (p place) with(out *graph.Output) place {
	var h maphash.Hash
	h.SetSeed(outputSeed)
	h.WriteString(out.Topic)
	h.WriteByte(0)
	h.Write(out.Key)
	h.WriteByte(0)
	h.Write(out.Value)
	p.output = h.Sum64() | 1 // never 0, which means "not about an output"
	return p
}

// refused returns the broker's refusal of an output of the place, nil if there is none.
func (m *Memory) refused(p place, out *graph.Output) (place, error) {
	if m == nil || len(m.refusals) == 0 {
		return p, nil
	}
	p = p.with(out)
	return p, m.refusals[p]
}

// again counts a replay for the place, and reports whether there may be one more. A refusal of the place is taken back: the replay tries anew.
func (m *Memory) again(p place, limit int) bool {
	if m == nil || m.replays[p] >= limit {
		return false
	}
	m.replays[p]++
	delete(m.refusals, p)
	return true
}

// attempts returns how many replays the place has had.
func (m *Memory) attempts(p place) int {
	if m == nil {
		return 0
	}
	return m.replays[p]
}

// succeeded forgets the replays of a node's punctuators.
func (m *Memory) succeeded(node string) {
	if m != nil && len(m.replays) > 0 {
		delete(m.replays, place{partition: -1, offset: -1, node: node})
	}
}

// forget drops what is about records below committed offsets, and about outputs of punctuators and flushes.
func (m *Memory) forget(offsets []Offset) {
	if m == nil || len(m.replays)+len(m.refusals)+len(m.stalls) == 0 {
		return
	}
	past := func(p place) bool {
		if p.topic == "" {
			return p.output != 0
		}
		for _, o := range offsets {
			if o.Topic == p.topic && o.Partition == p.partition {
				return p.offset < o.Offset
			}
		}
		return false
	}
	for p := range m.replays {
		if past(p) {
			delete(m.replays, p)
		}
	}
	for p := range m.refusals {
		if past(p) {
			delete(m.refusals, p)
		}
	}
	for p := range m.stalls {
		if past(p) {
			delete(m.stalls, p)
		}
	}
}
