package worker

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/seam"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/processor"
)

// Config is what a Worker is made of.
type Config struct {
	Index         int
	ApplicationID string
	Graph         *graph.Graph
	Policy        processor.ErrorPolicy
	EveryUpdate   bool
	TaskIdle      time.Duration // see task.Config.Idle

	Transactional      bool
	CommitInterval     time.Duration
	TransactionTimeout time.Duration

	// NewProducer makes a producer that has not been initialised yet, with what is known
	// of topics.
	NewProducer func(*txn.Caution) (*txn.Producer, error)
	// Identity is what commits prove ownership with.
	Identity func() txn.Identity
	Fetcher  *Fetcher
	Topics   Topics
	Host     Host
	Logger   *slog.Logger

	Mistake seam.Mistake
}

// Topics is what a worker asks about topics.
type Topics interface {
	// Partitions may ask Kafka; it gives up when ctx ends.
	Partitions(ctx context.Context, topic string) (int32, error)
	// Limits never returns nil.
	Limits(topic string) *task.Limits
	// Refresh asks Kafka again for what Limits says.
	Refresh(ctx context.Context, topic string) error
}

// Host is what a worker tells its process. The calls come from the worker's goroutine and
// must not wait for a worker.
type Host interface {
	// Restore takes tasks back whose state has to be restored, with the offsets that the
	// group has, before they can run again.
	Restore(tasks []*Task)
	// Dropped says that a task has ended for good: its database may be closed.
	Dropped(t *Task)
	// Fail ends the application: err will be met again, whatever is tried.
	Fail(err error)

	// Observer returns what is told about the decisions of a task.
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

// Worker runs tasks. Its methods may be called by any goroutine; Run is its own.
type Worker struct {
	cfg   Config
	inbox *inbox
	done  chan struct{}

	mu       sync.Mutex
	commands []func()

	// The rest belongs to Run.
	ctx      context.Context
	producer *txn.Producer
	retryAt  time.Time // of making a producer, and of aborting once more
	failures int       // commits that did not come through, in a row
	outputs  outputs
	caution  txn.Caution
	pace     pace
	// When a topic was looked up because a record did not fit it.
	looked   map[string]time.Time
	tasks    []*Task
	crashed  []*Task // to be given back to the host
	crashAt  time.Time
	last     *last
	failed   bool // nothing is processed any more
	stopping bool

	batch      int // records per call of Process
	turn       int // of the tasks, who is first
	dirtySince time.Time
	lastCommit time.Time

	watch     watch
	goroutine atomic.Value // []byte, see Stack
}

const (
	firstBatch, maxBatch = 16, 2048

	// A call of Process should take about this long: so long a command, a punctuation or
	// a commit may wait for it.
	processAim = 2 * time.Millisecond

	// idleShare of the commit interval must have passed before a worker without work
	// commits early.
	idleShare = 10
)

// New makes a Worker. It does nothing before Run.
func New(cfg Config) *Worker {
	return &Worker{cfg: cfg, inbox: newInbox(), done: make(chan struct{}), batch: firstBatch}
}

// Run works until Stop. Cancelling ctx cuts user code short and is not the way to stop.
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

// do has Run call command between two batches of records.
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

// Adopt gives the worker a task whose state is restored. It does not wait.
func (w *Worker) Adopt(t *Task) { w.do(func() { w.adopt(t) }) }

// Drop takes tasks away: what they have done is committed, or, if they are lost, aborted.
// Host.Dropped is called for each that the worker has. Drop does not wait.
func (w *Worker) Drop(tasks []*Task, lost bool) { w.do(func() { w.drop(tasks, lost) }) }

// Stop commits, drops all tasks, and ends Run. It does not wait.
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

// work takes what was fetched, processes some of it, and commits if it is time to. It
// reports whether there was anything to do.
func (w *Worker) work() (worked bool) {
	w.takeFetched()
	if w.failed || w.producer == nil || time.Now().Before(w.retryAt) {
		return false
	}
	for range w.tasks {
		// A task that comes after the break is the first of the next round.
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
		// The transaction cannot come through any more; ending it now says how to go on.
		w.commit()
		return true
	}
	w.commitIfDue(worked)
	if !worked {
		w.trim()
	}
	return worked
}

// trim has tasks give memory back that others need. Those that process records do so by
// themselves.
func (w *Worker) trim() {
	for _, t := range w.tasks {
		if t.run != nil && t.Budget.Crowded() {
			t.run.Trim()
		}
	}
}

// takeFetched empties the inbox. What came for a task that is not here any more is
// dropped.
func (w *Worker) takeFetched() {
	for _, b := range w.inbox.take() {
		t := w.reader(b.feed)
		switch {
		case t == nil:
			b.feed.drained(b.bytes)
		case b.rewound:
			w.rewind(t, &b)
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

// step processes a batch of a task, and the wall-clock punctuations that are due.
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
	t.settle()
	return n, nil
}

// adjust steers the number of records per call to where a call takes processAim.
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

// wait returns when there may be something to do.
func (w *Worker) wait() {
	timer := time.NewTimer(w.untilNext(time.Now()))
	defer timer.Stop()
	select {
	case <-w.inbox.wake:
	case <-timer.C:
	}
}

// longestWait is how long a worker without work does not look at anything: its tasks may
// hold memory that others need.
const longestWait = 5 * time.Second

// untilNext is the time to the next thing that the worker does without being told.
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
		soonest(w.commitAt(false))
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
