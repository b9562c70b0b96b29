package worker

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/processor"
)

// Config configures a Worker.
type Config struct {
	Index         int
	ApplicationID string
	Graph         *graph.Graph
	Globals       map[string]*engine.Reader // the rows of the global stores, by name
	Policy        processor.ErrorPolicy
	EveryUpdate   bool
	Combine       bool          // see task.Config
	TaskIdle      time.Duration // see task.Config.Idle

	Transactional      bool
	CommitInterval     time.Duration
	TransactionTimeout time.Duration

	// NewProducer makes a producer that is not initialised yet. The producer shares the
	// worker's Caution.
	NewProducer func(*txn.Caution) (*txn.Producer, error)
	// Identity returns the membership under which offsets are committed.
	Identity func() txn.Identity
	Fetcher  *Fetcher
	Topics   Topics
	Host     Host
	Logger   *slog.Logger

	Mistake seam.Mistake
}

// Topics answers a worker's questions about topics.
type Topics interface {
	// Partitions may ask Kafka. It gives up when ctx ends.
	Partitions(ctx context.Context, topic string) (int32, error)
	// Limits never returns nil.
	Limits(topic string) *task.Limits
	// Refresh asks Kafka again for the facts that Limits returns.
	Refresh(ctx context.Context, topic string) error
}

// Host receives a worker's reports. The worker's goroutine makes the calls. They must not
// wait for a worker.
type Host interface {
	// Restore takes back tasks whose state has to be restored, from the offsets that the
	// group has committed, before they can run again.
	Restore(tasks []*Task)
	// Dropped reports that a task has ended for good. Its database may be closed.
	Dropped(t *Task)
	// Fail ends the application. Another try would meet err again.
	Fail(err error)

	// Observer returns the receiver of a task's decisions.
	Observer(t *Task) task.Observer
	// Commit reports a commit.
	Commit(c Commit)
}

// Commit is the outcome of a commit.
type Commit struct {
	Worker   int
	Tasks    int
	Records  int64
	Duration time.Duration
	Err      error // nil when committed
}

// Worker runs tasks. Any goroutine may call its methods, except Run, which has its own.
type Worker struct {
	cfg   Config
	inbox *inbox
	done  chan struct{}

	mu       sync.Mutex
	commands []func()

	// The goroutine of Run owns the fields below.
	ctx      context.Context
	producer *txn.Producer
	retryAt  time.Time // when to make a producer, and to begin again after an abort
	failures int       // commits that failed, in a row
	outputs  outputs
	caution  txn.Caution
	pace     pace
	// When a topic was last looked up because a record did not fit it.
	looked   map[string]time.Time
	tasks    []*Task
	crashed  []*Task // to be returned to the host
	crashAt  time.Time
	last     *last
	failed   bool // nothing is processed any more
	stopping bool

	batch      int // records per call of Process
	turn       int // index of the task that is first in the next round
	dirtySince time.Time
	awaited    bool // somebody waits for the uncommitted work
	lastCommit time.Time

	watch     watch
	goroutine atomic.Value // []byte, see Stack
}

const (
	firstBatch, maxBatch = 16, 2048

	// A call of Process should take about this long. A command, a punctuation or a commit
	// waits for it.
	processAim = 2 * time.Millisecond

	// A worker without work commits early: after 1/idleShare of the commit interval.
	idleShare = 10
)

// New makes a Worker. It does nothing before Run.
func New(cfg Config) *Worker {
	return &Worker{cfg: cfg, inbox: newInbox(), done: make(chan struct{}), batch: firstBatch}
}

// Run works until Stop. Do not cancel ctx to stop: that interrupts user code.
func (w *Worker) Run(ctx context.Context) {
	defer close(w.done)
	w.ctx = ctx
	w.goroutine.Store(ownHeader())
	for !w.stopping {
		w.runCommands()
		w.renewProducer()
		w.returnCrashed()
		if worked := w.work(); !worked && !w.stopping {
			w.wait()
		}
	}
	if w.producer != nil {
		w.producer.Close()
	}
}

// Done is closed when Run has returned.
func (w *Worker) Done() <-chan struct{} { return w.done }

// do makes Run call command between two batches of records.
func (w *Worker) do(command func()) {
	w.mu.Lock()
	w.commands = append(w.commands, command)
	w.mu.Unlock()
	w.inbox.notify()
}

func (w *Worker) runCommands() {
	for {
		w.mu.Lock()
		commands := w.commands
		w.commands = nil
		w.mu.Unlock()
		if len(commands) == 0 {
			return
		}
		for _, command := range commands {
			command()
		}
	}
}

// Adopt gives the worker a task whose state is restored. It does not block.
func (w *Worker) Adopt(t *Task) { w.do(func() { w.adopt(t) }) }

// Drop takes tasks away. If lost is false, their work is committed first. If lost is
// true, it is aborted. Drop calls Host.Dropped for each of the tasks that the worker has.
// It does not block.
func (w *Worker) Drop(tasks []*Task, lost bool) { w.do(func() { w.drop(tasks, lost) }) }

// Stop commits, drops all tasks, and ends Run. It does not block.
func (w *Worker) Stop() {
	w.do(func() {
		w.commit()
		if w.last != nil {
			w.fail(w.last.err)
		}
		w.dropAll()
		w.stopping = true
	})
}

// Status returns what the worker's tasks are doing.
func (w *Worker) Status(ctx context.Context) ([]Status, error) {
	var all []Status
	answered := make(chan struct{})
	w.do(func() {
		for _, t := range w.tasks {
			if t.run != nil {
				all = append(all, t.status())
			}
		}
		close(answered)
	})
	if err := w.await(ctx, answered); err != nil {
		return nil, err
	}
	return all, nil
}

func (w *Worker) await(ctx context.Context, answered <-chan struct{}) error {
	select {
	case <-answered:
		return nil
	case <-w.done:
		return context.Canceled
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Worker) has(t *Task) bool {
	for _, mine := range w.tasks {
		if mine == t {
			return true
		}
	}
	return false
}

// work takes the fetched records, processes some of them, and commits if a commit is due.
// It reports whether there was anything to do.
func (w *Worker) work() (worked bool) {
	w.takeFetched()
	if w.failed || w.producer == nil || time.Now().Before(w.retryAt) {
		return false
	}
	for range w.tasks {
		// If the loop breaks, the next round begins with the next task.
		t := w.tasks[w.turn%len(w.tasks)]
		w.turn++
		n, err := w.step(t)
		if err != nil {
			w.taskFailed(t, err)
			return true
		}
		worked = worked || n > 0
		if w.overdue() {
			break
		}
	}
	if t, err := w.settle(); err != nil {
		w.taskFailed(t, err)
		return true
	}
	if w.last != nil {
		return w.finishLast() || worked
	}
	if err := w.producer.Err(); err != nil {
		// The transaction can no longer be committed. Ending it now tells how to
		// continue.
		w.commit()
		return true
	}
	w.commitIfDue(worked)
	if !worked {
		w.trim()
	}
	return worked
}

// trim makes idle tasks give memory back that other tasks need. Tasks that process
// records do so themselves.
func (w *Worker) trim() {
	for _, t := range w.tasks {
		if t.run != nil && t.Budget.Crowded() {
			t.run.Trim()
		}
	}
}

// takeFetched empties the inbox. Batches for tasks that have left are dropped.
func (w *Worker) takeFetched() {
	for _, b := range w.inbox.take() {
		t := w.reader(b.feed)
		switch {
		case t == nil:
			b.feed.drained(b.bytes)
		case b.about == rewound:
			w.rewind(t, &b)
		case b.about == confirmed:
			t.run.Confirm(b.feed.Topic, b.feed.Partition, b.position, b.end, b.at)
		case b.about == unconfirmed:
			t.run.Unconfirmed(b.feed.Topic, b.feed.Partition)
		default:
			if err := t.take(&b); err != nil {
				w.taskFailed(t, err)
			}
		}
	}
}

// reader returns the task that reads a feed, or nil.
func (w *Worker) reader(f *Feed) *Task {
	if f.closed.Load() {
		return nil
	}
	for _, t := range w.tasks {
		if t.run != nil && t.feed(f) >= 0 {
			return t
		}
	}
	return nil
}

// step processes a batch of a task, and its wall-clock punctuations that are due.
func (w *Worker) step(t *Task) (n int, err error) {
	if t.run == nil {
		return 0, nil
	}
	limit := w.limit(w.batch)
	if w.last != nil {
		limit = min(limit, w.last.of(t))
	}
	if limit == 0 {
		return 0, nil
	}
	if t.careful {
		limit = 1
	}
	begun := time.Now()
	w.watch.begin(t, begun)
	defer w.watch.end()
	n, err = t.run.Process(begun, limit)
	t.records += int64(n)
	w.pace.done += int64(n)
	if err != nil {
		return n, err
	}
	ended := begun
	if n > 0 {
		ended = time.Now()
		w.adjust(n, ended.Sub(begun))
		t.timed(n, ended.Sub(begun), w.cfg.TransactionTimeout/2)
	}
	if w.last != nil {
		w.last.processed(t, n)
	} else if next, ok := t.run.NextPunctuation(); ok && !ended.Before(next) {
		if _, err := t.run.Punctuate(ended); err != nil {
			return n, err
		}
	}
	if w.last == nil {
		closed, err := t.run.PassIdle(ended)
		if n += closed; err != nil {
			return n, err
		}
	}
	t.settle()
	return n, nil
}

// adjust steers the number of records per call, so that a call takes about processAim.
func (w *Worker) adjust(n int, took time.Duration) {
	switch {
	case took > 2*processAim:
		w.batch = max(w.batch/2, 1)
		if took > 20*processAim {
			w.batch = max(int(int64(n)*int64(processAim)/int64(took)), 1)
		}
	case took < processAim && n == w.batch:
		w.batch = min(w.batch*2, maxBatch)
	}
}

// wait blocks until there may be something to do.
func (w *Worker) wait() {
	timer := time.NewTimer(w.untilNext(time.Now()))
	defer timer.Stop()
	select {
	case <-w.inbox.wake:
	case <-timer.C:
	}
}

// longestWait bounds the wait of a worker without work. After it the worker looks whether
// other tasks need the memory that its tasks hold.
const longestWait = 5 * time.Second

// untilNext returns the time until the worker has to act without a wake-up.
func (w *Worker) untilNext(now time.Time) time.Duration {
	next := now.Add(longestWait)
	soonest := func(at time.Time) {
		if at.Before(next) {
			next = at
		}
	}
	if w.producer == nil || len(w.tasks) > 0 && now.Before(w.retryAt) {
		soonest(w.retryAt)
	}
	if len(w.crashed) > 0 && w.producer != nil {
		soonest(w.crashAt)
	}
	if w.failed || w.producer == nil {
		return max(next.Sub(now), 0)
	}
	if w.last != nil {
		soonest(w.last.until)
		return max(next.Sub(now), 0)
	}
	if !w.dirtySince.IsZero() {
		soonest(w.commitAt(w.awaited))
	}
	for _, t := range w.tasks {
		if t.run == nil {
			continue
		}
		if at, ok := t.run.NextPunctuation(); ok {
			soonest(later(at, w.retryAt))
		}
		if at, ok := t.run.IdleUntil(); ok {
			soonest(later(at, w.retryAt))
		}
	}
	return max(next.Sub(now), 0)
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
