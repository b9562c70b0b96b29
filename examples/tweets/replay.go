package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/examples/tweets/sample"
)

// place is one partition to which the replay writes.
type place struct {
	topic     string
	partition int32
}

// replay writes the sample to its topics at a given rate, repeatedly, until ctx ends.
// Tweet i goes to place i modulo the number of places. The end of each place therefore
// determines its next tweet, and a replay that was killed continues where it stopped.
type replay struct {
	client *kgo.Client
	places []place
	next   []int64 // by place: number of tweets written
	lines  [][]byte
	rate   int // tweets per second
	failed kgo.FirstErrPromise
}

// newReplay finds out how far each topic was written. client must use
// kgo.ManualPartitioner.
func newReplay(ctx context.Context, client *kgo.Client, topics []string, partitions int32, rate int) (*replay, error) {
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("find out how far the replay has come: %w", err)
	}
	r := &replay{client: client, lines: slices.Collect(sample.Lines()), rate: rate}
	for p := range partitions {
		for _, topic := range topics {
			end, ok := ends.Lookup(topic, p)
			if !ok || end.Err != nil {
				return nil, fmt.Errorf("find out how far the replay has come: no end of %s/%d (%v)", topic, p, end.Err)
			}
			r.places = append(r.places, place{topic, p})
			r.next = append(r.next, end.Offset)
		}
	}
	return r, nil
}

// run returns when ctx has ended and everything that it sent is written, or could not be
// written.
func (r *replay) run(ctx context.Context) error {
	pace(ctx, r.rate, func() { r.send(ctx) })
	return r.failed.Err()
}

// pace calls do rate times per second, in bursts, until ctx ends. If a burst is late, the
// next one catches up.
func pace(ctx context.Context, rate int, do func()) {
	const step = 50 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	start := time.Now()
	for done := 0; ; {
		for due := int(time.Since(start).Seconds() * float64(rate)); done < due; done++ {
			do()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// send writes the next tweet in the order over all places.
func (r *replay) send(ctx context.Context) {
	behind := 0
	for i := range r.next {
		if r.next[i] < r.next[behind] {
			behind = i
		}
	}
	r.sendTo(ctx, behind)
}

// sendTo writes the next tweet of a place. The end of ctx does not cancel a write that
// has begun.
func (r *replay) sendTo(ctx context.Context, at int) {
	i := r.next[at]*int64(len(r.places)) + int64(at)
	r.next[at]++
	r.client.Produce(context.WithoutCancel(ctx), &kgo.Record{
		Topic:     r.places[at].topic,
		Partition: r.places[at].partition,
		Value:     r.lines[i%int64(len(r.lines))],
	}, r.failed.Promise())
}
