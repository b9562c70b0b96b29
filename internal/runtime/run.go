package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/dialer"
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/health"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/membership"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/shutdown"
	"github.com/millrace-streams/millrace/internal/statedir"
	"github.com/millrace-streams/millrace/internal/transient"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/internal/worker"
)

// Run is one run of an application: the goroutines and clients round the tasks. Make one
// with New and run it once.
//
// Who waits for whom: the group's goroutine waits for workers (a revocation), workers
// wait for Kafka only, the fetcher waits for nobody. Nothing that a worker or the fetcher
// calls here may wait for a worker.
type Run struct {
	cfg   Config
	graph *graph.Graph
	log   *slog.Logger

	dir       *statedir.Dir
	layout    layout
	dial      dialer.Func // the user's, bounded; nil for kgo's own, with TLS
	guarding  guarding
	shared    *engine.Shared
	databases databases
	client    *kgo.Client
	topics    *topicTable
	restorer  *restore.Restorer
	records   *inputs.Records
	fetcher   *worker.Fetcher
	workers   []*worker.Worker
	group     membership.Membership

	// ctx is that of New.
	ctx context.Context
	// hard is what user code sees: it ends when there is no more time to be graceful.
	hard context.Context
	kill context.CancelFunc
	// soft ends when Run begins to close: nothing new is started.
	soft context.Context
	stop context.CancelFunc
	// ending bounds the time between the end of soft, or a failure, and the return of
	// Run.
	ending *shutdown.Shutdown

	background sync.WaitGroup // goroutines that end with soft
	starters   sync.WaitGroup // goroutines that start tasks

	mu         sync.Mutex
	tasks      map[assignment.TaskID]*held
	generation int32
	joined     bool // there has been an assignment
	joinedAt   time.Time
	commitAt   []time.Time // of the last commit, by worker
	closing    bool        // nothing is started any more
	failure    error
	failed     chan struct{}

	health   health.Tracker // of what the run needs to reach
	started  atomic.Bool    // every part has been made
	counters counters
}

type counters struct {
	records, commits, aborts, dropped, errors atomic.Int64
}

// New makes a Run that ends with ctx. It does nothing before [Run.Run].
func New(ctx context.Context, cfg Config) *Run {
	s := &Run{
		ctx: ctx, cfg: cfg, graph: cfg.Graph, log: cfg.Logger.With("application", cfg.ApplicationID),
		tasks: map[assignment.TaskID]*held{}, failed: make(chan struct{}), records: inputs.NewRecords(cfg.ApplicationID),
	}
	s.hard, s.kill = context.WithCancel(context.WithoutCancel(ctx))
	s.soft, s.stop = context.WithCancel(ctx)
	s.commitAt = make([]time.Time, s.cfg.Workers)
	s.ending = shutdown.New(s.cfg.CloseTimeout, s.kill)
	return s
}

// Run runs the application until the context of New ends or something fails. It blocks.
// From then on it returns within Config.CloseTimeout, whatever is stuck.
func (s *Run) Run() error {
	defer context.AfterFunc(s.ctx, s.ending.Begin)()
	err := s.ending.Bound(s.runAndTell)
	if late := (*shutdown.LateError)(nil); errors.As(err, &late) {
		err = errors.Join(s.failureSoFar(), err)
		s.warnOfLate(late)
		go s.cfg.Events.State(Failed) // a hook may be what is stuck
	}
	return err
}

// runAndTell runs, and reports the state before and after.
func (s *Run) runAndTell() error {
	s.cfg.Events.State(Starting)
	err := s.run()
	if err != nil {
		s.cfg.Events.State(Failed)
	} else {
		s.cfg.Events.State(Closed)
	}
	return err
}

// Kill ends the contexts of user code and of requests to brokers at once, as the last
// call of CloseTimeout does. Tests use it to end what a killed process has left.
func (s *Run) Kill() { s.kill() }

// run does the work of Run.
func (s *Run) run() (err error) {
	defer s.kill()
	defer s.stop()
	s.ending.Step("the start, which was under way")
	if s.dir, err = statedir.Open(s.cfg.StateDir, s.cfg.ApplicationID); err != nil {
		return err
	}
	s.log = s.log.With("process", s.dir.ProcessID())
	if err := s.prepare(); err != nil {
		ended := s.soft.Err() != nil && errors.Is(err, s.soft.Err())
		s.stop()
		s.background.Wait()
		s.release()
		if ended {
			return nil
		}
		return err
	}
	if err := s.start(); err != nil {
		s.fail(err)
	}
	s.started.Store(true)
	select {
	case <-s.soft.Done():
		s.log.Info("closing")
	case <-s.failed:
	}
	return s.close()
}

// prepare checks everything that can be checked before the group is joined.
func (s *Run) prepare() (err error) {
	if err = s.readLayout(); err != nil {
		return err
	}
	if s.dial, err = s.cfg.dialer(); err != nil {
		return err
	}
	client, err := kgo.NewClient(s.clientOptions()...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	s.client, s.topics = client, newTopicTable(client)
	s.restorer, err = restore.New(restore.Config{Opts: s.clientOptions(), BufferBytes: s.cfg.BufferMemory / 2, Logger: s.log})
	if err != nil {
		return err
	}
	s.spawn(s.watchHealth)
	if err := s.prepareTopics(); err != nil {
		return err
	}
	if err := s.saveLayout(); err != nil {
		return err
	}
	return s.fence()
}

// clientOptions are what every client gets.
func (s *Run) clientOptions(more ...kgo.Opt) []kgo.Opt {
	return append(s.cfg.clientOptions(s.hard, s.dial), more...)
}

func (s *Run) transactionalID(index int) string {
	return fmt.Sprintf("%s-%s-%d", s.cfg.ApplicationID, s.dir.ProcessID(), index)
}

// fence records the transactional IDs of this run, and ends the transactions that former
// runs have left open under other ones. Those under the same IDs end when the workers
// initialise their producers, while the group is being joined; whoever reads committed
// offsets waits for it.
func (s *Run) fence() error {
	if !s.cfg.ExactlyOnce {
		return nil
	}
	var mine []string
	for i := range s.cfg.Workers {
		mine = append(mine, s.transactionalID(i))
	}
	former := slices.DeleteFunc(s.dir.TransactionalIDs(), func(id string) bool { return slices.Contains(mine, id) })
	if err := s.dir.RecordTransactionalID(mine...); err != nil {
		return err
	}
	return s.untilReachable("fencing former transactions", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, fenceTimeout)
		defer cancel()
		return txn.Fence(ctx, s.clientOptions(), former)
	})
}

// fenceTimeout bounds one try to fence, so that the log says what it waits for.
const fenceTimeout = 15 * time.Second

// start makes the parts and joins the group.
func (s *Run) start() (err error) {
	s.shared = engine.NewShared(s.cfg.StateMemory)
	if err := s.startFetcher(); err != nil {
		return err
	}
	s.openDatabases()
	for i := range s.cfg.Workers {
		w := worker.New(s.workerConfig(i))
		s.workers = append(s.workers, w)
		go w.Run(s.hard)
	}
	s.spawn(s.watchTopics)
	s.spawn(s.purge)
	s.spawn(s.watchCalls)
	return s.join()
}

const (
	fetchMaxWait = 100 * time.Millisecond

	// rebalanceTimeout bounds a revocation, which waits for a commit, and that for user
	// code.
	rebalanceTimeout = 60 * time.Second
)

func (s *Run) startFetcher() error {
	opts := s.clientOptions(
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(fetchMaxWait), kgo.FetchMaxBytes(int32(min(s.cfg.BufferMemory, 50<<20))),
		kgo.FetchMaxPartitionBytes(int32(min(s.cfg.BufferMemory, 1<<20))),
	)
	fetcher, err := worker.NewFetcher(worker.FetcherConfig{Opts: opts, Memory: s.cfg.BufferMemory, Trouble: s.fetchTrouble, Logger: s.log})
	if err != nil {
		return err
	}
	s.fetcher = fetcher
	s.background.Go(func() { fetcher.Run(s.hard) })
	return nil
}

func (s *Run) workerConfig(index int) worker.Config {
	return worker.Config{
		Index: index, ApplicationID: s.cfg.ApplicationID, Graph: s.graph, Policy: s.cfg.Policy, EveryUpdate: s.cfg.EveryUpdate, TaskIdle: s.cfg.TaskIdle,
		Transactional: s.cfg.ExactlyOnce, CommitInterval: s.cfg.CommitInterval, TransactionTimeout: s.cfg.TransactionTimeout,
		NewProducer: func(caution *txn.Caution) (*txn.Producer, error) { return s.newProducer(index, caution) },
		Identity:    s.identity, Fetcher: s.fetcher, Topics: s.topics, Host: host{s}, Logger: s.log,
		Mutations: worker.Mutations{ApplyFirst: s.cfg.Seams.Mutations.ApplyFirst, KeepTimes: s.cfg.Seams.Mutations.KeepTimes},
	}
}

func (s *Run) newProducer(index int, caution *txn.Caution) (*txn.Producer, error) {
	cfg := txn.Config{
		Opts: s.clientOptions(), TransactionTimeout: s.cfg.TransactionTimeout, Group: s.cfg.ApplicationID,
		BatchMaxBytes: func(topic string) int32 { return int32(s.topics.Limits(topic).MaxBytes) },
		Caution:       caution, Refresh: s.refresh, Logger: s.log,
	}
	if s.cfg.ExactlyOnce {
		cfg.TransactionalID = s.transactionalID(index)
	}
	if step := s.cfg.Seams.Step; step != nil {
		cfg.Hook = func(at txn.Step) error { return step(index, at) }
	}
	p, err := txn.New(s.hard, cfg)
	if err != nil {
		return nil, err
	}
	for _, topic := range s.topics.changelogs() {
		p.Track(topic)
	}
	return p, nil
}

func (s *Run) identity() txn.Identity {
	if g := s.membership(); g != nil {
		return g.Identity()
	}
	return txn.Identity{Generation: -1}
}

func (s *Run) refresh(ctx context.Context, stale txn.Identity) (txn.Identity, error) {
	if g := s.membership(); g != nil {
		return g.Refresh(ctx, stale)
	}
	return txn.Identity{}, errors.New("not a member of the group")
}

func (s *Run) membership() membership.Membership {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.group
}

func (s *Run) join() error {
	group, err := membership.Join(membership.Config{
		Opts: s.clientOptions(), Group: s.cfg.ApplicationID, InstanceID: s.dir.ProcessID(),
		Topology: s.assignmentTopology(), Subscription: s.subscription,
		SessionTimeout: s.cfg.SessionTimeout, RebalanceTimeout: cmp.Or(s.cfg.Seams.RebalanceTimeout, rebalanceTimeout), Handler: groupHandler{s}, Logger: s.log,
		LiveIdentity: s.cfg.Seams.Mutations.LiveIdentity,
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.group = group
	s.mu.Unlock()
	return nil
}

// assignmentTopology is the graph as the group's leader needs it.
func (s *Run) assignmentTopology() assignment.Topology {
	t := assignment.Topology{Fingerprint: s.layout.shape.Fingerprint()}
	for _, sub := range s.graph.SubTopologies {
		with := assignment.SubTopology{ID: int32(sub.ID), Stateful: len(sub.Stores) > 0}
		for _, topic := range sub.Sources {
			with.Sources = append(with.Sources, assignment.Source{Topic: topic.In(s.cfg.ApplicationID)})
		}
		t.SubTopologies = append(t.SubTopologies, with)
	}
	return t
}

// spawn runs f until it returns, which it does soon after soft has ended.
func (s *Run) spawn(f func()) { s.background.Go(f) }

// fail ends the run with err, unless something has failed before.
func (s *Run) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return
	}
	s.failure = err
	s.log.Error("failed", "error", err)
	close(s.failed)
	s.ending.Begin()
}

// retries are of what Kafka has refused.
var retries = backoff.Backoff{First: 50 * time.Millisecond, Last: 2 * time.Second}

// untilReachable repeats f until it succeeds, the run ends, or the error is one that no
// waiting puts right.
func (s *Run) untilReachable(doing string, f func(context.Context) error) error {
	return retry(s.soft, s.log, doing, f)
}

func retry(ctx context.Context, log *slog.Logger, doing string, f func(context.Context) error) error {
	for failures := 1; ; failures++ {
		err := f(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !transient.Is(err) {
			return fmt.Errorf("%s: %w", doing, err)
		}
		log.Warn("trying again", "doing", doing, "in", retries.Delay(failures), "error", err)
		if err := retries.Sleep(ctx, failures); err != nil {
			return err
		}
	}
}
