package task

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/seedtest"
)

func TestOldestHeadFirst(t *testing.T) {
	t.Parallel()
	s := newShell(t, pass("a", "b"), "a", "b")
	s.start()
	s.add("b", in("b", "1", 3), in("b", "2", 1), in("b", "3", 7))
	s.add("a", in("a", "1", 3), in("a", "2", 5))
	s.run()
	s.wantOpen("out a=1@3", "out b=1@3", "out b=2@1", "out a=2@5", "out b=3@7")
	if got := s.task.StreamTime(); got != 7 {
		t.Errorf("stream time %d, want 7", got)
	}
}

func TestWaitsForAPartitionThatLags(t *testing.T) {
	t.Parallel()
	s := newShell(t, pass("a", "b"), "a", "b")
	s.start()
	s.task.SetEnd("b", 0, 2)
	if got := s.task.Waiting(); got != nil {
		t.Errorf("waiting for %v without any record", got)
	}
	s.add("a", in("a", "1", 9))
	s.run()
	s.wantOpen()
	if got := s.task.Waiting(); !slices.Equal(got, []Partition{{"b", 0}}) {
		t.Errorf("waiting for %v, want b", got)
	}
	s.add("b", in("b", "1", 5))
	s.run()
	s.wantOpen("out b=1@5")
	s.task.SetPosition("b", 0, 2) // the rest of b is a transaction marker
	s.run()
	s.wantOpen("out b=1@5", "out a=1@9")
	c, err := s.task.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range c.Offsets {
		if want := map[string]int64{"a": 1, "b": 2}[o.Topic]; o.Offset != want {
			t.Errorf("commits %s at %d, want %d", o.Topic, o.Offset, want)
		}
	}
}

// The records of a fetch share its memory, so they count until the last one has been
// processed.
func TestBufferedBytesOfAFetch(t *testing.T) {
	t.Parallel()
	s := newShell(t, pass("a", "b"), "a", "b")
	s.start()
	s.add("a", in("a", "1", 1), in("a", "2", 9))
	_, all := s.task.Buffered("a", 0)
	s.add("b", in("b", "1", 5))
	s.task.SetEnd("b", 0, 2)
	s.run() // up to the record of a with timestamp 9, which waits for b
	if records, bytes := s.task.Buffered("a", 0); records != 1 || bytes != all {
		t.Errorf("%d records of %d bytes are buffered, want 1 of %d", records, bytes, all)
	}
	s.task.SetPosition("b", 0, 2)
	s.run()
	if records, bytes := s.task.Buffered("a", 0); records != 0 || bytes != 0 {
		t.Errorf("%d records of %d bytes are buffered, want none", records, bytes)
	}
}

func TestRecordsBelowThePositionAreLeftOut(t *testing.T) {
	t.Parallel()
	s := newShell(t, pass("a"), "a")
	s.offsets[Partition{"a", 0}] = Committed{Topic: "a", Offset: 2}
	s.start()
	s.add("a", in("k", "0", 0), in("k", "1", 0), in("k", "2", 0))
	if n, bytes := s.task.Buffered("a", 0); n != 1 || bytes <= 0 {
		t.Errorf("%d records of %d bytes are queued, want 1", n, bytes)
	}
	s.run()
	s.wantOpen("out k=2@0")
	if n, bytes := s.task.Buffered("a", 0); n != 0 || bytes != 0 {
		t.Errorf("%d records of %d bytes are queued, want none", n, bytes)
	}
	records := []graph.Input{{Topic: "a", Offset: 5}, {Topic: "a", Offset: 4}}
	if err := s.task.Add("a", 0, records, 0); err == nil {
		t.Error("records out of order were taken")
	}
	if err := s.task.Add("c", 0, nil, 0); err == nil {
		t.Error("a foreign topic was taken")
	}
}

// modelOrder is the naive choice: of the first records of each topic, take the one with
// the smallest timestamp. If timestamps are equal, take the one of the first topic.
func modelOrder(topics []string, input map[string][]graph.Input) []string {
	var out []string
	at := map[string]int{}
	for {
		best := ""
		for _, topic := range topics {
			if at[topic] == len(input[topic]) {
				continue
			}
			if best == "" || input[topic][at[topic]].Timestamp < input[best][at[best]].Timestamp {
				best = topic
			}
		}
		if best == "" {
			return out
		}
		r := input[best][at[best]]
		at[best]++
		out = append(out, fmt.Sprintf("out %s=%s@%d", r.Key, r.Value, r.Timestamp))
	}
}

func TestChoiceAgainstModel(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 50, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		topics := []string{"c", "a", "b"}
		input := map[string][]graph.Input{}
		for _, topic := range topics {
			for i := range r.IntN(20) {
				input[topic] = append(input[topic], graph.Input{
					Topic: topic, Offset: int64(i), Key: []byte(topic), Value: fmt.Append(nil, i), Timestamp: in("", "", int64(r.IntN(15))).Timestamp,
				})
			}
		}
		want := modelOrder(topics, input)
		s := newShell(t, pass(topics...), topics...)
		s.start()
		for _, topic := range topics {
			s.task.SetEnd(topic, 0, int64(len(input[topic])))
		}
		feed := map[string]int{}
		for len(s.open) < len(want) {
			topic := topics[r.IntN(3)]
			n := min(r.IntN(4), len(input[topic])-feed[topic])
			if err := s.task.Add(topic, 0, slices.Clone(input[topic][feed[topic]:feed[topic]+n]), 0); err != nil {
				t.Fatal(err)
			}
			feed[topic] += n
			if _, err := s.task.Process(time.UnixMilli(0), r.IntN(5)); err != nil {
				t.Fatal(err)
			}
		}
		s.wantOpen(want...)
	})
}
