package task

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
)

// statefulGraph numbers the records of two topics with a position, and keeps the largest
// timestamp in an operator time. It reports both with each record, and every 10 ms of
// stream time. It skips poison.
func statefulGraph() *graph.Graph {
	b := &builder{}
	source := b.source(false, "a", "b")
	var count *graph.Position
	var seen *processor.Timestamp
	init := func(p *fakeProcessor) {
		count, seen = p.t.Position("numbers/count"), p.t.Time("numbers")
		tick := func(now time.Time) error {
			return p.forward("tick", fmt.Sprint(count.Value), processor.TimestampOf(now))
		}
		p.t.Schedule(p.n, processor.StreamTime, time.Time{}, 10*time.Millisecond, tick)
		p.t.Schedule(p.n, processor.StreamTime, time.UnixMilli(3), 25*time.Millisecond, tick)
	}
	numbers := b.process("numbers", init, func(p *fakeProcessor, r *rec) error {
		if r.Value == "poison" {
			return fmt.Errorf("poison")
		}
		count.Value, count.Set = count.Value+1, true
		*seen = max(*seen, r.Timestamp)
		return p.forward(r.Key, fmt.Sprintf("%s #%d seen %d", r.Value, count.Value, *seen), r.Timestamp)
	}, source)
	b.sink("out", numbers)
	return b.graph()
}

func randomInput(r *rand.Rand, topics ...string) map[string][]graph.Input {
	input := map[string][]graph.Input{}
	for _, topic := range topics {
		offset, at := int64(0), int64(0)
		for i := range 40 {
			offset += int64(1 + r.IntN(2)) // with gaps, as transactions leave them
			at += int64(r.IntN(9)) - 2
			record := in(topic, fmt.Sprint(i), at)
			switch r.IntN(12) {
			case 0:
				record.Value = []byte("bad")
			case 1:
				record.Value = []byte("poison")
			case 2:
				record.Timestamp = -1
			}
			record.Topic, record.Offset = topic, offset
			input[topic] = append(input[topic], record)
		}
	}
	return input
}

// The committed results do not depend on the sizes of fetches, of Process calls and of
// transactions, nor on the number of aborts.
func TestAnySplitGivesTheSameOutputs(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 60, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 2))
		input := randomInput(r, "a", "b")
		want := drive(t, input, rand.New(rand.NewPCG(0, 0)), 1000, false)
		for range 5 {
			if got := drive(t, input, r, 1+r.IntN(8), true); !slices.Equal(got, want) {
				t.Fatalf("seed %d:\ngot  %q\nwant %q", seed, got, want)
			}
		}
	})
}

func drive(t *testing.T, input map[string][]graph.Input, r *rand.Rand, size int, chaos bool) []string {
	t.Helper()
	s := newShell(t, statefulGraph(), "a", "b")
	s.cfg.Policy = processor.ErrorPolicy{Decode: processor.Skip, Process: processor.Skip}
	fed := map[string]int{}
	begin := func() {
		s.start()
		for topic, records := range input {
			s.task.SetEnd(topic, 0, records[len(records)-1].Offset+1)
			fed[topic], _ = slices.BinarySearchFunc(records, s.offsets[Partition{topic, 0}].Offset, func(in graph.Input, o int64) int { return int(in.Offset - o) })
		}
	}
	begin()
	for {
		for topic, records := range input {
			n := min(1+r.IntN(size), len(records)-fed[topic])
			if err := s.task.Add(topic, 0, slices.Clone(records[fed[topic]:fed[topic]+n]), 0); err != nil {
				t.Fatal(err)
			}
			fed[topic] += n
		}
		n, err := s.task.Process(time.UnixMilli(0), size)
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		for topic, records := range input {
			queued, _ := s.task.Buffered(topic, 0)
			left += queued + len(records) - fed[topic]
		}
		switch {
		case left == 0:
			s.commit()
			return s.committed
		case chaos && r.IntN(4) == 0:
			c, err := s.task.Begin()
			if err != nil {
				t.Fatal(err)
			}
			before := s.open
			s.open = nil
			// This belongs to the next transaction.
			if _, err := s.task.Process(time.UnixMilli(0), r.IntN(3)); err != nil {
				t.Fatal(err)
			}
			after := s.open
			s.open = before
			s.confirm(c)
			s.open = after
		case chaos && r.IntN(6) == 0:
			if err := s.task.Close(); err != nil {
				t.Fatal(err)
			}
			begin()
		case n == 0 && size == 1:
			continue
		}
	}
}
