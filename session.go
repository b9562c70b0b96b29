package millrace

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
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/membership"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/statedir"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/internal/worker"
)

// session is one Run of an App: the goroutines and clients round the tasks.
//
// Who waits for whom: the group's goroutine waits for workers (a revocation), workers wait for Kafka only, the fetcher waits for nobody. Nothing that a worker or
// the fetcher calls here may wait for a worker.
type session struct {
	app   *App
	cfg   Config
	graph *graph.Graph
	log   *slog.Logger
	hooks hooks

	dir       *statedir.Dir
	layout    layout
	shared    *engine.Shared
	databases databases
	client    *kgo.Client
	topics    *topicTable
	restorer  *restore.Restorer
	fetcher   *worker.Fetcher
	workers   []*worker.Worker
	group     membership.Membership

	// hard is what user code sees: it ends when there is no more time to be graceful.
	hard context.Context
	kill context.CancelFunc
	// soft ends when Run begins to close: nothing new is started.
	soft context.Context
	stop context.CancelFunc

	background sync.WaitGroup // goroutines that end with soft
	starters   sync.WaitGroup // goroutines that start tasks

	mu         sync.Mutex
	tasks      map[assignment.TaskID]*held
	generation int32
	joined     bool // there has been an assignment
	closing    bool // nothing is started any more
	failure    error
	failed     chan struct{}

	counters counters
}

type counters struct {
	records, commits, aborts, dropped, errors atomic.Int64
}

// run does the work of Run.
func (a *App) run(ctx context.Context) (err error) {
	r := &session{
		app: a, cfg: a.cfg, graph: a.graph, log: a.cfg.Logger.With("application", a.cfg.ApplicationID), hooks: a.cfg.Hooks,
		tasks: map[assignment.TaskID]*held{}, failed: make(chan struct{}),
	}
	r.hard, r.kill = context.WithCancel(context.WithoutCancel(ctx))
	defer r.kill()
	r.soft, r.stop = context.WithCancel(ctx)
	defer r.stop()
	if r.dir, err = statedir.Open(r.cfg.StateDir, r.cfg.ApplicationID); err != nil {
		return err
	}
	r.log = r.log.With("process", r.dir.ProcessID())
	if err := r.prepare(); err != nil {
		r.release()
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil
		}
		return err
	}
	if err := r.start(); err != nil {
		r.fail(err)
	}
	a.session.Store(r)
	select {
	case <-ctx.Done():
		r.log.Info("closing")
	case <-r.failed:
	}
	return r.close()
}

// prepare checks everything that can be checked before the group is joined.
func (r *session) prepare() error {
	if err := r.checkShape(); err != nil {
		return err
	}
	client, err := kgo.NewClient(r.clientOptions()...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	r.client, r.topics = client, newTopicTable(client)
	if err := r.prepareTopics(); err != nil {
		return err
	}
	if err := r.saveLayout(); err != nil {
		return err
	}
	return r.fence()
}

// clientOptions are what every client gets.
func (r *session) clientOptions(more ...kgo.Opt) []kgo.Opt {
	var opts []kgo.Opt
	if len(r.cfg.Brokers) > 0 {
		opts = append(opts, kgo.SeedBrokers(r.cfg.Brokers...))
	}
	// kgo waits 5 s between two looks at the metadata, which would be the pause at each move of a leader.
	opts = append(opts, kgo.ClientID(r.cfg.ApplicationID), kgo.MetadataMinAge(metadataMinAge))
	// Pushing metrics to the broker makes each client's Close wait a second for a broker that is gone.
	opts = append(opts, kgo.DisableClientMetrics())
	opts = append(opts, r.cfg.ClientOptions...)
	return append(opts, more...)
}

func (r *session) transactionalID(index int) string {
	return fmt.Sprintf("%s-%s-%d", r.cfg.ApplicationID, r.dir.ProcessID(), index)
}

// fence records the transactional IDs of this run, and ends the transactions that former runs have left open under other ones. Those under the same IDs end when
// the workers initialise their producers, while the group is being joined; whoever reads committed offsets waits for it.
func (r *session) fence() error {
	if r.cfg.Guarantee != ExactlyOnce {
		return nil
	}
	var mine []string
	for i := range r.cfg.Workers {
		mine = append(mine, r.transactionalID(i))
	}
	former := slices.DeleteFunc(r.dir.TransactionalIDs(), func(id string) bool { return slices.Contains(mine, id) })
	if err := r.dir.RecordTransactionalID(mine...); err != nil {
		return err
	}
	return r.untilReachable("fencing former transactions", func(ctx context.Context) error {
		return txn.Fence(ctx, r.clientOptions(), former)
	})
}

// start makes the parts and joins the group.
func (r *session) start() (err error) {
	r.shared = engine.NewShared(r.cfg.StateMemory)
	r.restorer, err = restore.New(restore.Config{Opts: r.clientOptions(), BufferBytes: r.cfg.BufferMemory / 2, Logger: r.log})
	if err != nil {
		return err
	}
	if err := r.startFetcher(); err != nil {
		return err
	}
	r.openDatabases()
	for i := range r.cfg.Workers {
		w := worker.New(r.workerConfig(i))
		r.workers = append(r.workers, w)
		go w.Run(r.hard)
	}
	r.spawn(r.watchTopics)
	r.spawn(r.purge)
	r.spawn(r.watchCalls)
	return r.join()
}

const (
	metadataMinAge = 100 * time.Millisecond

	fetchMaxWait = 100 * time.Millisecond

	// rebalanceTimeout bounds a revocation, which waits for a commit, and that for user code.
	rebalanceTimeout = 60 * time.Second
)

func (r *session) startFetcher() error {
	opts := r.clientOptions(
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(fetchMaxWait), kgo.FetchMaxBytes(int32(min(r.cfg.BufferMemory, 50<<20))),
		kgo.FetchMaxPartitionBytes(int32(min(r.cfg.BufferMemory, 1<<20))),
	)
	fetcher, err := worker.NewFetcher(worker.FetcherConfig{Opts: opts, Memory: r.cfg.BufferMemory, Trouble: r.fetchTrouble, Logger: r.log})
	if err != nil {
		return err
	}
	r.fetcher = fetcher
	r.background.Go(func() { fetcher.Run(r.hard) })
	return nil
}

func (r *session) workerConfig(index int) worker.Config {
	return worker.Config{
		Index: index, ApplicationID: r.cfg.ApplicationID, Graph: r.graph, Policy: r.cfg.Errors, EveryUpdate: r.cfg.EveryUpdate,
		Transactional: r.cfg.Guarantee == ExactlyOnce, CommitInterval: r.cfg.CommitInterval, TransactionTimeout: r.cfg.TransactionTimeout,
		NewProducer: func() (*txn.Producer, error) { return r.newProducer(index) },
		Identity:    r.identity, Fetcher: r.fetcher, Topics: r.topics, Host: host{r}, Logger: r.log,
		Mutations: worker.Mutations{ApplyFirst: r.app.seams.mutations.applyFirst, KeepTimes: r.app.seams.mutations.keepTimes},
	}
}

func (r *session) newProducer(index int) (*txn.Producer, error) {
	cfg := txn.Config{
		Opts: r.clientOptions(), TransactionTimeout: r.cfg.TransactionTimeout, Group: r.cfg.ApplicationID,
		BatchMaxBytes: func(topic string) int32 { return int32(r.topics.MaxMessageBytes(topic)) },
		Refresh:       r.refresh, Logger: r.log,
	}
	if r.cfg.Guarantee == ExactlyOnce {
		cfg.TransactionalID = r.transactionalID(index)
	}
	if step := r.app.seams.step; step != nil {
		cfg.Hook = func(s txn.Step) error { return step(index, s) }
	}
	p, err := txn.New(r.hard, cfg)
	if err != nil {
		return nil, err
	}
	for _, topic := range r.topics.changelogs() {
		p.Track(topic)
	}
	return p, nil
}

func (r *session) identity() txn.Identity {
	if g := r.membership(); g != nil {
		return g.Identity()
	}
	return txn.Identity{Generation: -1}
}

func (r *session) refresh(ctx context.Context, stale txn.Identity) (txn.Identity, error) {
	if g := r.membership(); g != nil {
		return g.Refresh(ctx, stale)
	}
	return txn.Identity{}, errors.New("not a member of the group")
}

func (r *session) membership() membership.Membership {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.group
}

func (r *session) join() error {
	group, err := membership.Join(membership.Config{
		Opts: r.clientOptions(), Group: r.cfg.ApplicationID, InstanceID: r.dir.ProcessID(),
		Topology: r.assignmentTopology(), Subscription: r.subscription,
		SessionTimeout: r.cfg.SessionTimeout, RebalanceTimeout: cmp.Or(r.app.seams.rebalanceTimeout, rebalanceTimeout), Handler: groupHandler{r}, Logger: r.log,
		LiveIdentity: r.app.seams.mutations.liveIdentity,
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.group = group
	r.mu.Unlock()
	return nil
}

// assignmentTopology is the graph as the group's leader needs it.
func (r *session) assignmentTopology() assignment.Topology {
	t := assignment.Topology{Fingerprint: r.layout.shape.Fingerprint()}
	for _, sub := range r.graph.SubTopologies {
		s := assignment.SubTopology{ID: int32(sub.ID), Stateful: len(sub.Stores) > 0}
		for _, topic := range sub.Sources {
			s.Sources = append(s.Sources, assignment.Source{Topic: topic.In(r.cfg.ApplicationID)})
		}
		t.SubTopologies = append(t.SubTopologies, s)
	}
	return t
}

// spawn runs f until it returns, which it does soon after soft has ended.
func (r *session) spawn(f func()) { r.background.Go(f) }

// fail ends the run with err, unless something has failed before.
func (r *session) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure != nil {
		return
	}
	r.failure = err
	r.log.Error("failed", "error", err)
	close(r.failed)
}

// retries are of what Kafka has refused.
var retries = backoff.Backoff{First: 50 * time.Millisecond, Last: 2 * time.Second}

// untilReachable repeats f until it succeeds, the run ends, or the error is one that no waiting puts right.
func (r *session) untilReachable(doing string, f func(context.Context) error) error {
	return retry(r.soft, r.log, doing, f)
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
		if !transient(err) {
			return fmt.Errorf("%s: %w", doing, err)
		}
		log.Warn("trying again", "doing", doing, "in", retries.Delay(failures), "error", err)
		if err := retries.Sleep(ctx, failures); err != nil {
			return err
		}
	}
}
