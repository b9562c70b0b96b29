package txn

import (
	"context"
	"errors"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// acks collects the answers to produced records. kgo calls finish from one goroutine; everything else belongs to the
// goroutine that owns the Producer.
type acks struct {
	mu       sync.Mutex
	sent     int64
	finished int64
	wake     chan struct{} // closed when finished reaches sent; nil while nobody waits
	failure  *failure

	tracked map[string]struct{}
	next    map[topicPartition]*int64
	// settled are the topics whose partitions kgo is known to hold, unsettled those beside them that have an acknowledged record, with its partition.
	settled   map[string]struct{}
	unsettled map[string]int32
	// the previous record's topic and partition: records are acknowledged batch by batch
	last        topicPartition
	lastTracked bool
	lastNext    *int64
}

type topicPartition struct {
	topic     string
	partition int32
}

type failure struct {
	record *kgo.Record
	err    error
}

// finish is the promise of every record.
func (a *acks) finish(r *kgo.Record, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.fail(r, err)
	} else {
		a.acknowledge(r)
	}
	a.finished++
	if a.wake != nil && a.finished == a.sent {
		close(a.wake)
		a.wake = nil
	}
}

func (a *acks) acknowledge(r *kgo.Record) {
	if r.Topic != a.last.topic || r.Partition != a.last.partition {
		a.last = topicPartition{r.Topic, r.Partition}
		a.lastNext = nil
		_, a.lastTracked = a.tracked[r.Topic]
		if _, ok := a.settled[r.Topic]; !ok {
			if a.unsettled == nil {
				a.unsettled = make(map[string]int32)
			}
			a.unsettled[r.Topic] = r.Partition
		}
	}
	if !a.lastTracked {
		return
	}
	if a.lastNext == nil {
		if a.next == nil {
			a.next = make(map[topicPartition]*int64)
		}
		n := a.next[a.last]
		if n == nil {
			n = new(int64)
			a.next[a.last] = n
		}
		a.lastNext = n
	}
	*a.lastNext = max(*a.lastNext, r.Offset+1)
}

// fail keeps the first failure. Of several records of one partition that fail alike it keeps the likeliest culprit,
// because kgo fails everything that it holds for a partition with the error of one batch.
func (a *acks) fail(r *kgo.Record, err error) {
	f := a.failure
	if f == nil {
		a.failure = &failure{r, err}
		return
	}
	if f.record == nil || f.record.Topic != r.Topic || f.record.Partition != r.Partition {
		return
	}
	switch {
	case errors.Is(f.err, kerr.MessageTooLarge) && errors.Is(err, kerr.MessageTooLarge):
		if size(r) > size(f.record) {
			f.record = r
		}
	case errors.Is(f.err, kerr.InvalidRecord) && errors.Is(err, kerr.InvalidRecord):
		if r.Key == nil && f.record.Key != nil {
			f.record = r
		}
	}
}

func size(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

func (a *acks) track(topic string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tracked == nil {
		a.tracked = make(map[string]struct{})
	}
	a.tracked[topic] = struct{}{}
	a.last, a.lastNext, a.lastTracked = topicPartition{}, nil, false
}

func (a *acks) add() {
	a.mu.Lock()
	a.sent++
	a.mu.Unlock()
}

// wait returns when every record has been answered. kgo's Flush alone does not wait for records that failed before they
// were buffered.
func (a *acks) wait(ctx context.Context) error {
	a.mu.Lock()
	if a.finished == a.sent {
		a.mu.Unlock()
		return nil
	}
	wake := make(chan struct{})
	a.wake = wake
	a.mu.Unlock()
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settle takes the topics out of unsettled that holds says kgo holds, and reports whether none is left.
func (a *acks) settle(holds func(topic string, partition int32) bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for topic, partition := range a.unsettled {
		if !holds(topic, partition) {
			return false
		}
		if a.settled == nil {
			a.settled = make(map[string]struct{})
		}
		a.settled[topic] = struct{}{}
		delete(a.unsettled, topic)
	}
	return true
}

// first returns the first failure in the caller's terms, or nil.
func (a *acks) first() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failure == nil {
		return nil
	}
	r, err := a.failure.record, a.failure.err
	if r == nil || !isRefusal(err) {
		return err
	}
	return &RefusedError{Topic: r.Topic, Partition: r.Partition, Record: r, Err: err}
}

// take empties a for the next transaction and returns the positions of the tracked topics.
func (a *acks) take() map[string]map[int32]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	positions := make(map[string]map[int32]int64)
	for tp, next := range a.next {
		merge(positions, tp.topic, tp.partition, *next)
	}
	a.next = nil
	a.failure = nil
	a.last, a.lastNext, a.lastTracked = topicPartition{}, nil, false
	return positions
}

func merge(positions map[string]map[int32]int64, topic string, partition int32, next int64) {
	partitions := positions[topic]
	if partitions == nil {
		partitions = make(map[int32]int64)
		positions[topic] = partitions
	}
	partitions[partition] = max(partitions[partition], next)
}
