package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/examples/internal/broker"
	"github.com/millrace-streams/millrace/examples/tweets/sample"
)

// inputs returns a broker with the input topics, and the client that the replay needs.
func inputs(t *testing.T) (brokers []string, client *kgo.Client, topics []string) {
	t.Helper()
	brokers, stop, err := broker.Embedded(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	if client, err = kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	topics = options{name: "tweets"}.topics().inputs()
	if err := broker.Create(t.Context(), client, partitions, topics...); err != nil {
		t.Fatal(err)
	}
	return brokers, client, topics
}

// checkReplayed checks that each place has its tweets, in order and without gaps, and
// returns their number.
func checkReplayed(t *testing.T, brokers, topics []string) (total int) {
	t.Helper()
	lines := slices.Collect(sample.Lines())
	places := partitions * len(topics)
	for number, topic := range topics {
		next := make([]int, partitions)
		for _, r := range read(t, brokers, topic) {
			i := next[r.Partition]*places + int(r.Partition)*len(topics) + number
			if !bytes.Equal(r.Value, lines[i%len(lines)]) {
				t.Fatalf("%s/%d@%d is %.80q, want line %d", topic, r.Partition, r.Offset, r.Value, i)
			}
			next[r.Partition]++
			total++
		}
	}
	return total
}

// TestReplayGoesOn: whenever the replay ends, and whatever is lost at its end, it
// continues in each partition where it stopped.
func TestReplayGoesOn(t *testing.T) {
	t.Parallel()
	brokers, client, topics := inputs(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 10 {
		r, err := newReplay(t.Context(), client, topics, partitions, 1)
		if err != nil {
			t.Fatal(err)
		}
		for range random.IntN(1000) {
			if random.IntN(100) == 0 { // as after a kill, a partition is ahead of others
				r.sendTo(t.Context(), random.IntN(len(r.places)))
			}
			r.send(t.Context())
		}
		if err := r.failed.Err(); err != nil {
			t.Fatal(err)
		}
	}
	if n := checkReplayed(t, brokers, topics); n < 1000 {
		t.Errorf("%d tweets, want thousands", n)
	}
}

// TestReplayEnds: when the replay ends, everything that it sent is written.
func TestReplayEnds(t *testing.T) {
	t.Parallel()
	brokers, client, topics := inputs(t)
	r, err := newReplay(t.Context(), client, topics, partitions, 500)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.run(ctx) }()
	waitUntil(t, "replayed tweets", func() bool { return len(read(t, brokers, topics[0])) >= 50 })
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	var sent int64
	for _, n := range r.next {
		sent += n
	}
	if n := checkReplayed(t, brokers, topics); int64(n) != sent {
		t.Errorf("%d tweets are written, %d were sent", n, sent)
	}
}

// TestPace: the rate holds over any period, even after a call that takes too long.
func TestPace(t *testing.T) {
	for name, tc := range map[string]struct {
		rate int
		slow time.Duration // duration of the first call
	}{
		"slow":        {rate: 3},
		"fast":        {rate: 500},
		"catching up": {rate: 500, slow: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const seconds = 4
				ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second+time.Millisecond)
				defer cancel()
				calls := 0
				pace(ctx, tc.rate, func() {
					if calls++; calls == 1 {
						<-time.After(tc.slow)
					}
				})
				if calls != seconds*tc.rate {
					t.Errorf("%d calls in %d s, want %d", calls, seconds, seconds*tc.rate)
				}
			})
		})
	}
}
