package task

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

// Task is one running task. All methods must be called by one goroutine at a time.
type Task struct {
	cfg    Config
	ctx    context.Context
	logger *slog.Logger
	nodes  *host // what the nodes see of the task

	queues  []*queue
	byName  map[Partition]*queue
	stores  []*openedStore
	globals map[string]store.GlobalReader // by name
	// Nil unless the sub-topology is so large that its times may not fit into metadata.
	times   *store.OperatorTimes
	cells   *cells
	flushes []hook
	closes  []hook
	idlers  []*idler // in order of node IDs, which is parents first

	// This is the state of the present record, punctuation or flush.
	current *graph.Input // nil in punctuators and flushes
	// The record of the present flush, while current is nil.
	origin      processor.Metadata
	originInput *graph.Input // the same record, if it was kept
	lent        bool         // see done
	call        string       // while current is nil: the punctuator or the flush
	now         time.Time
	eventTime   processor.Timestamp // of the record or the punctuation
	logTime     processor.Timestamp // of the current record, as in Kafka
	// The time of writes to stores while a node has set it. -1 means eventTime.
	writeTime  processor.Timestamp
	streamTime processor.Timestamp
	undecoded  bool   // the record could not be decoded, and has been dropped
	taken      int    // records taken from the queues by the Process that is going on
	last       *queue // the queue of the record taken last, and its offset
	lastOffset int64

	stops     bool      // see StopBefore
	idleUntil time.Time // see IdleUntil

	schedules [2]schedules // by processor.TimeKind
	starting  bool         // New is making the nodes

	dirty           bool
	unflushed       bool  // records were processed since the last Begin
	awaited         bool  // see Awaited
	workLeft        bool  // a store has asked for another commit after this one
	held            int64 // bytes that nodes hold in memory
	commitRequested bool
	onCommitted     []func()
	begun           *generation
	calls           []string // for the Memory: what has been called since the last Begin
	batch           *engine.Batch
	progress        engine.Progress // scratch of reached

	dropped map[string]int64
	failure error // sticky
	closed  bool
}

// Partition names a partition.
type Partition struct {
	Topic     string
	Partition int32
}

// hook is a function that a node has registered.
type hook struct {
	node *graph.Node
	f    func() error
}

// Add adds records of an input partition, in order of offset. The task then owns the
// slice and its bytes. Records below the partition's position are skipped. bytes is the
// memory of the records, for Buffered.
func (t *Task) Add(topic string, partition int32, records []graph.Input, bytes int64) error {
	if t.failure != nil {
		return t.failure
	}
	q := t.byName[Partition{topic, partition}]
	if q == nil {
		return fmt.Errorf("task %s: %s/%d is not one of its input partitions", t.cfg.ID, topic, partition)
	}
	return q.add(records, bytes)
}

// lend notes that somebody keeps a pointer to a record until the end of the transaction.
func (t *Task) lend(in *graph.Input) *graph.Input {
	t.lent = t.lent || in != nil
	return in
}

// done returns Config.Done, or nil as long as somebody may have a pointer to a record.
func (t *Task) done() func([]graph.Input) {
	if t.lent {
		return nil
	}
	return t.cfg.Done
}

// SetEnd sets the end of an input partition: with read_committed the last stable offset,
// else the high watermark. A task does not choose a record while another of its
// partitions is empty and has records between its position and its end. With Config.Idle
// it also waits for new records.
func (t *Task) SetEnd(topic string, partition int32, end int64) {
	if q := t.byName[Partition{topic, partition}]; q != nil {
		q.end = end
	}
}

// SetPosition says that Add has added everything below next. The offsets between the last
// record and next hold control records, or nothing any more.
func (t *Task) SetPosition(topic string, partition int32, next int64) {
	if q := t.byName[Partition{topic, partition}]; q != nil && next > q.next {
		q.next = next
		q.passed()
	}
}

// Process processes up to max records and the stream-time punctuators that become due. It
// returns how many records it took from the queues. This is less than max if there are no
// more records, or if it waits for a partition (see Waiting).
func (t *Task) Process(now time.Time, max int) (n int, err error) {
	if err := t.over(); err != nil {
		return 0, err
	}
	defer t.contain(&err)
	t.now, t.taken = now, 0
	for t.taken < max {
		q, err := t.choose()
		if q == nil || err != nil {
			return t.taken, err
		}
		if t.taken >= max { // choosing has dropped records
			break
		}
		if err := t.step(q); err != nil {
			return t.taken, err
		}
	}
	return t.taken, nil
}

// choose returns the queue with the oldest head. It returns nil if there is none, or if
// the task waits for a partition. For equal timestamps, the topic that the sub-topology
// names first wins.
func (t *Task) choose() (best *queue, err error) {
	waits := false
	t.idleUntil = time.Time{}
	for _, q := range t.queues {
		if !q.ready {
			if err := t.extract(q); err != nil {
				return nil, err
			}
		}
		if q.stopped() {
			return nil, nil
		}
		switch {
		case q.ready:
			if best == nil || q.headTime < best.headTime {
				best = q
			}
		case t.waitsFor(q):
			waits = true
		}
	}
	if best == nil {
		t.idleUntil = time.Time{}
	}
	if waits {
		return nil, nil
	}
	return best, nil
}

// extract sets the timestamp of the queue's head. It drops records without one.
func (t *Task) extract(q *queue) error {
	for !q.empty() && !q.stopped() {
		in := q.head()
		q.logTime, t.logTime = in.Timestamp, in.Timestamp
		t.current, t.eventTime = in, max(in.Timestamp, 0)
		ts, ok, err := q.source.Timestamp(in, q.partitionTime)
		if err != nil {
			ts, ok, err = t.extractAgain(q, in, err)
		}
		t.current = nil
		if err != nil {
			t.taken++ // like a record that fails later
			return t.fail(err)
		}
		if ok {
			in.Timestamp, q.headTime, q.ready = ts, ts, true
			return nil
		}
		t.dirty = true
		t.taken++
		q.pop(t.done())
	}
	return nil
}

func (t *Task) extractAgain(q *queue, in *graph.Input, cause error) (ts processor.Timestamp, ok bool, err error) {
	ok, err = t.nodes.Fail(q.node, processor.Decode, cause, func() (err error) {
		var valid bool
		if ts, valid, err = q.source.Timestamp(in, q.partitionTime); err == nil && !valid {
			ts = -1
		}
		return err
	})
	return ts, ok && ts >= 0, err
}

// step processes the head of the queue.
func (t *Task) step(q *queue) error {
	in := q.head()
	t.dirty, t.unflushed = true, true
	t.awaited = t.awaited || q.awaited
	t.taken++
	t.current, t.eventTime, t.logTime = in, q.headTime, q.logTime
	t.last, t.lastOffset = q, in.Offset
	partitionTime, streamTime := q.partitionTime, t.streamTime
	q.partitionTime = max(q.partitionTime, q.headTime)
	t.streamTime = max(t.streamTime, q.headTime)
	t.undecoded = false
	done := false
	if m := t.cfg.Memory; m != nil && len(m.stalls) > 0 {
		var err error
		if done, err = t.stalled(q); err != nil {
			return t.fail(err)
		}
	}
	if !done {
		if err := q.source.Receive(in); err != nil || t.failure != nil {
			return t.fail(err)
		}
	}
	t.current, in.Timestamp = nil, q.logTime
	q.pop(t.done())
	if t.undecoded { // no node has seen it, so time does not advance
		q.partitionTime, t.streamTime = partitionTime, streamTime
		return nil
	}
	if s := &t.schedules[processor.StreamTime]; int64(t.streamTime) >= s.due {
		_, err := t.punctuate(s, int64(t.streamTime))
		return err
	}
	return nil
}

// Punctuate calls the wall-clock punctuators that are due, and returns how many.
func (t *Task) Punctuate(now time.Time) (n int, err error) {
	if err := t.over(); err != nil {
		return 0, err
	}
	defer t.contain(&err)
	t.now = now
	s := &t.schedules[processor.WallClock]
	if now.UnixMilli() < s.due {
		return 0, nil
	}
	return t.punctuate(s, now.UnixMilli())
}

// NextPunctuation returns when the next wall-clock punctuator is due.
func (t *Task) NextPunctuation() (time.Time, bool) {
	due := t.schedules[processor.WallClock].due
	if due == never {
		return time.Time{}, false
	}
	return time.UnixMilli(due), true
}

// Buffered returns how many records of an input partition are queued, and the bytes that
// they keep in memory: those of a fetch count until its last record has been processed.
func (t *Task) Buffered(topic string, partition int32) (records int, bytes int64) {
	if q := t.byName[Partition{topic, partition}]; q != nil {
		return q.records, q.bytes
	}
	return 0, 0
}

// Waiting returns the empty input partitions that keep the task from choosing one of the
// records that it has. They must be fetched.
func (t *Task) Waiting() []Partition {
	var waiting []Partition
	some := false
	for _, q := range t.queues {
		some = some || !q.empty()
		if q.lags() || t.idles(q) {
			waiting = append(waiting, Partition{q.topic, q.partition})
		}
	}
	if !some {
		return nil
	}
	return waiting
}

// Dirty reports whether anything has happened since the last Begin that needs a commit.
func (t *Task) Dirty() bool { return t.dirty }

// Awaited reports whether somebody may wait for the effects of what has happened since
// the last Begin. If the task is dirty and nobody waits, there is no reason to commit
// early.
func (t *Task) Awaited() bool { return t.awaited }

// CommitRequested reports whether a processor has asked for a commit since the last
// Begin.
func (t *Task) CommitRequested() bool { return t.commitRequested }

// Trim makes the stores release memory, if the process holds more than it may.
func (t *Task) Trim() {
	for _, s := range t.stores {
		s.instance.Trim()
	}
}

// Dropped returns the number of records dropped since New, by reason.
func (t *Task) Dropped() map[string]int64 { return t.dropped }

// Store returns the instance of a store, for reads by the owner of the task's goroutine.
func (t *Task) Store(name string) (processor.Store, error) { return t.nodes.Store(name) }

// StreamTime is the largest timestamp taken for processing, -1 at first.
func (t *Task) StreamTime() processor.Timestamp { return t.streamTime }

// timeBetweenRecords is the time of Init, flushes and what they write: stream time or,
// before the first record, the wall clock.
func (t *Task) timeBetweenRecords() processor.Timestamp {
	if t.streamTime >= 0 {
		return t.streamTime
	}
	return max(processor.TimestampOf(t.now), 0)
}

// Err returns the error that has ended the task, or nil while it runs.
func (t *Task) Err() error { return t.failure }

// fail ends the task with err, unless it has already ended. It returns the first failure,
// or nil if there is none.
func (t *Task) fail(err error) error {
	if t.failure == nil && err != nil {
		t.failure = err
	}
	return t.failure
}

// contain turns a panic into the end of the task. User code is guarded by its node, so
// that the policy can decide. A panic that gets here is a defect of a node or a store.
// After it, nothing in memory can be trusted.
func (t *Task) contain(err *error) {
	if v := recover(); v != nil {
		*err = t.fail(t.errorOf("task", processor.Process, panicError(v)))
	}
}
