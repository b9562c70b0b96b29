package txn

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// acks collects the answers to produced records. kgo calls finish from one goroutine. All
// other methods belong to the goroutine that owns the Producer.
type acks struct {
	mu       sync.Mutex
	sent     int64
	finished int64
	accepted int64         // of this transaction
	wake     chan struct{} // closed when finished reaches sent; nil if nothing waits
	failure  error         // the first one

	// For records in sifted, refusals are kept in refused. A refusal of any other record
	// is a failure.
	sifted  map[*kgo.Record]struct{}
	refused []refusal

	tracked map[string]struct{}
	next    map[topicPartition]*int64
	// settled are the topics whose partitions kgo is known to hold. unsettled are the
	// other topics that have an acknowledged record, with the record's partition.
	settled   map[string]struct{}
	unsettled map[string]int32
	// The topic and partition of the previous record: records are acknowledged batch by
	// batch.
	last        topicPartition
	lastTracked bool
	lastNext    *int64
}

type topicPartition struct {
	topic     string
	partition int32
}

// refusal is a record that was answered with an error. The record need not be the cause:
// kgo fails all records that it holds for a partition with the error of one batch.
type refusal struct {
	record *kgo.Record
	err    error
}

// finish is the promise of every record.
func (a *acks) finish(r *kgo.Record, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.reject(r, err)
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
	a.accepted++
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

// reject handles the error of a record. If the sieve sent the record, a refusal is kept
// for it. Any other error is the failure of the transaction. The caller holds the lock.
func (a *acks) reject(r *kgo.Record, err error) {
	if !isRefusal(err) {
		a.fail(err)
		return
	}
	if _, ok := a.sifted[r]; ok {
		a.refused = append(a.refused, refusal{r, err})
		return
	}
	a.fail(&RefusedError{Topic: r.Topic, Partition: r.Partition, Err: err})
}

// fail keeps the first failure. The caller holds the lock.
func (a *acks) fail(err error) {
	if a.failure == nil {
		a.failure = err
	}
}

// failWith is fail for a caller that does not hold the lock.
func (a *acks) failWith(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fail(err)
}

// sift makes acks keep the refusals of these records for takeRefused.
func (a *acks) sift(records []*kgo.Record) {
	sifted := make(map[*kgo.Record]struct{}, len(records))
	for _, r := range records {
		sifted[r] = struct{}{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sifted = sifted
}

// takeRefused ends sift. It returns the refusals. Those of one partition are in the order
// of their records.
func (a *acks) takeRefused() []refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	refused := a.refused
	a.sifted, a.refused = nil, nil
	return refused
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

// wait returns when every record has been answered. kgo's Flush alone does not wait for
// records that failed before they were buffered.
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

// allAnswered reports whether no record is in flight.
func (a *acks) allAnswered() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.finished == a.sent
}

// settle removes from unsettled the topics whose partitions kgo holds, according to
// holds. It reports whether none is left.
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

// first returns the first failure, or nil.
func (a *acks) first() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failure
}

// acceptedAny reports whether the broker has accepted a record since the last take.
func (a *acks) acceptedAny() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.accepted > 0
}

// take resets a for the next transaction. It returns the positions of the tracked topics.
func (a *acks) take() map[string]map[int32]int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	positions := make(map[string]map[int32]int64)
	for tp, next := range a.next {
		merge(positions, tp.topic, tp.partition, *next)
	}
	a.next = nil
	a.failure = nil
	a.accepted = 0
	a.sifted, a.refused = nil, nil
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
