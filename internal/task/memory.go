package task

import (
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Memory is what the worker remembers of a task over aborts: how often a record was replayed, and what the broker refused. It lives as long as
// the process has the task; it is used by one goroutine at a time.
type Memory struct {
	replays  map[place]int
	refusals map[place]error
	unmet    map[place]int // refusals that no replay has met again, by place without the output
	stalls   map[place]time.Duration
}

// place is where an error happened: the input record, or the call if there was none, and the node; if it is about an output, the hash of that too. A replay
// makes the same outputs from the same input, so the hash finds it again.
type place struct {
	topic     string
	partition int32
	offset    int64
	call      string // while topic is empty: a punctuator, a flush, or what a node sends in these
	node      string
	output    uint64
}

// maxUnmet is how many refusals in a row, at one place, may find nothing in the replay. The outputs then differ from replay to replay, and no action can be
// applied to the one that is refused.
const maxUnmet = 3

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{replays: map[place]int{}, refusals: map[place]error{}, unmet: map[place]int{}}
}

// Refused tells that the broker has refused out, which the task sent from the input record from, for good. The shell then aborts; when
// the replay sends the same record again, the error policy gets err (phase Produce) instead. It returns an error if the application must fail with that: out is no
// record of a sink or a repartition topic (but a changelog's or a dead letter), or the replays do not send the same record again.
func (m *Memory) Refused(out graph.Output, from processor.Metadata, err error) error {
	if out.Node == nil {
		return err
	}
	p := placeOfOutput(from, &out)
	m.refusals[p.with(&out)] = err
	if m.unmet[p]++; m.unmet[p] > maxUnmet {
		return fmt.Errorf("%w (refused %d times, with another output at each replay, so that the error policy cannot be applied: "+
			"make key and value depend on the input alone)", err, m.unmet[p])
	}
	return nil
}

func placeOf(from processor.Metadata, n *graph.Node) place {
	if from.Topic == "" {
		from.Partition, from.Offset = -1, -1
	}
	return place{topic: from.Topic, partition: from.Partition, offset: from.Offset, node: n.Name}
}

// placeOfOutput returns the place of what a node sends, without the output. What is held back is sent at another time by a replay, merged with other updates,
// or by a punctuator at its next slot, so no record is a part of its place.
func placeOfOutput(from processor.Metadata, out *graph.Output) place {
	if out.Held {
		return place{partition: -1, offset: -1, call: heldBy(out.Node), node: out.Node.Name}
	}
	return placeOf(from, out.Node)
}

// heldBy is the call by which a node sends what is held back.
func heldBy(n *graph.Node) string { return "outputs of " + n.Name }

var outputSeed = maphash.MakeSeed()

// with returns the place of an output. Of what is held back the key tells it: the value may have been merged in another way.
func (p place) with(out *graph.Output) place {
	var h maphash.Hash
	h.SetSeed(outputSeed)
	h.WriteString(out.Topic)
	h.WriteByte(0)
	maphash.WriteComparable(&h, out.Partition)
	h.Write(out.Key)
	if !out.Held {
		h.WriteByte(0)
		h.Write(out.Value)
	}
	p.output = h.Sum64() | 1 // never 0, which means "not about an output"
	return p
}

// refused returns the broker's refusal of an output, nil if there is none.
func (m *Memory) refused(from processor.Metadata, out *graph.Output) (place, error) {
	base := placeOfOutput(from, out)
	p := base.with(out)
	err := m.refusals[p]
	if err != nil {
		delete(m.unmet, base)
	}
	return p, err
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

// remembers says that a commit may have something to forget.
func (m *Memory) remembers() bool {
	return m != nil && len(m.replays)+len(m.refusals)+len(m.unmet)+len(m.stalls) > 0
}

// forget drops what a commit has settled: what is about records below its offsets, and about calls that are a part of it.
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
	settle(m.refusals, past)
	settle(m.unmet, past)
	settle(m.stalls, past)
}

func settle[V any](m map[place]V, past func(place) bool) {
	maps.DeleteFunc(m, func(p place, _ V) bool { return past(p) })
}
