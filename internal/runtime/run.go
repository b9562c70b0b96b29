package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/health"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/shutdown"
	"github.com/millrace-streams/millrace/internal/statedir"
	"github.com/millrace-streams/millrace/internal/worker"
)

// Run is one run of an application. It makes the parts, starts them in order, and closes
// them. Make one with New and run it once.
type Run struct {
	*life
	cfg      Config
	ctx      context.Context // the context of New
	health   *health.Tracker // what the run must reach
	started  atomic.Bool     // the parts have been started
	counters *counters
	tasks    *tasks
	phase    *phase
	member   *member
	globals  *globals

	known   []string // topics that matched patterns in the run that this one continues
	matched []string // topics that matched when the process was started; nil before
	again   bool     // another run continues; set at the end
	place   bool     // the group reserves the place of the process, without a membership

	// Made by prepare. The directory may come from the run that this one continues.
	dir       *statedir.Dir
	clients   *clients
	client    *kgo.Client
	restorer  *restore.Restorer
	records   *inputs.Records
	catalogue *catalogue
	matching  *matching
	plan      *plan
	layout    *layout
	guard     *stateGuard
	producers *producers

	// Made by assemble.
	shared    *engine.Shared
	databases *databases
	locator   *locator
	starter   *starter
	host      *host
	group     *group
	topics    *topicWatch
	reads     *reads

	workers []*worker.Worker // made by start
}

// New makes a Run that ends with ctx. It has no effect before [Run.Run].
func New(ctx context.Context, cfg Config) *Run {
	r := &Run{
		life: newLife(ctx, cfg.CloseTimeout, cfg.Logger.With("application", cfg.ApplicationID)),
		cfg:  cfg, ctx: ctx, member: &member{}, counters: &counters{}, health: &health.Tracker{},
	}
	r.tasks = newTasks(r.life)
	r.globals = newGlobals(cfg.Graph)
	r.phase = &phase{events: cfg.Events, tasks: r.tasks, globals: r.globals, health: r.health}
	return r
}

// Run runs the application until the context of New ends or something fails. It blocks.
// After that it returns within Config.CloseTimeout, whatever is stuck.
func (r *Run) Run() error {
	defer context.AfterFunc(r.ctx, r.ending.Begin)()
	err := r.ending.Bound(r.runAndTell)
	if late := (*shutdown.LateError)(nil); errors.As(err, &late) {
		err = errors.Join(r.failureSoFar(), err)
		r.warnOfLate(late)
		go r.cfg.Events.State(Failed) // in a goroutine, because a hook may be stuck
	}
	return err
}

// runAndTell calls run, and reports the state before and after.
func (r *Run) runAndTell() error {
	r.cfg.Events.State(Starting)
	err := r.run()
	switch {
	case err != nil:
		r.cfg.Events.State(Failed)
	case !r.again:
		r.cfg.Events.State(Closed)
	}
	return err
}

// Kill ends the contexts of user code and of requests to brokers at once, as happens at
// the end of CloseTimeout. Tests use it to clean up after a process that was killed.
func (r *Run) Kill() { r.kill() }

// run prepares, starts, waits for the end and closes.
func (r *Run) run() (err error) {
	defer r.kill()
	defer r.stop()
	r.ending.Step("the start, which was under way")
	if r.dir == nil {
		if r.dir, err = statedir.Open(r.cfg.StateDir, r.cfg.ApplicationID); err != nil {
			return err
		}
	}
	r.log = r.log.With("process", r.dir.ProcessID())
	if err := r.prepare(); err != nil {
		ended := r.endedEarly(err)
		r.stop()
		r.background.Wait()
		r.giveUpPlace()
		r.release()
		if ended {
			return nil
		}
		return err
	}
	r.assemble()
	if err := r.start(); err != nil {
		r.fail(err)
	}
	r.started.Store(true)
	select {
	case <-r.soft.Done():
		r.log.Info("closing", "to_start_again", r.continues())
	case <-r.failed:
	}
	return r.close()
}

// prepare makes all checks that are possible before the group is joined.
func (r *Run) prepare() (err error) {
	if err := r.cfg.Graph.Conflicts(r.cfg.ApplicationID); err != nil {
		return err
	}
	if err := r.cfg.Graph.CheckDeadLetters(r.cfg.ApplicationID, r.cfg.Policy.DeadLetterTopic); err != nil {
		return err
	}
	if r.layout, err = readLayout(r.dir, r.cfg.Graph); err != nil {
		return err
	}
	if err := r.connect(); err != nil {
		return err
	}
	watch := &reach{life: r.life, clients: r.clients, group: r.cfg.ApplicationID, health: r.health, phase: r.phase, events: r.cfg.Events}
	r.spawn(watch.run)
	if err := r.checkBrokers(); err != nil {
		return err
	}
	if err := r.prepareTopics(); err != nil {
		return err
	}
	if err := r.layout.save(r.plan, r.guard.topic); err != nil {
		return err
	}
	r.producers = &producers{
		life: r.life, cfg: &r.cfg, clients: r.clients, plan: r.plan, catalogue: r.catalogue, member: r.member, process: r.dir.ProcessID(),
	}
	return r.producers.fence(r.dir)
}

// connect makes the clients that several parts share.
func (r *Run) connect() (err error) {
	if r.clients, err = newClients(r.hard, &r.cfg); err != nil {
		return err
	}
	client, err := kgo.NewClient(r.clients.options()...)
	if err != nil {
		return fmt.Errorf("kafka client: %w", err)
	}
	r.client, r.catalogue, r.records = client, newCatalogue(client), inputs.NewRecords(r.cfg.ApplicationID)
	r.restorer, err = restore.New(restore.Config{Opts: r.clients.options(), FetchBytes: r.cfg.BufferMemory / 2, Logger: r.log})
	return err
}

// prepareTopics finds the topics of the topology and their numbers of partitions, checks
// that the topology fits the state, and creates or checks the internal topics.
func (r *Run) prepareTopics() error {
	if err := r.matchTopics(); err != nil {
		return err
	}
	setup := &topicSetup{life: r.life, client: r.client, catalogue: r.catalogue, events: r.cfg.Events}
	if err := setup.find(foreignTopics(r.cfg.Graph, r.cfg.Policy.DeadLetterTopic), r.cfg.WaitForTopics); err != nil {
		return err
	}
	if err := setup.checkTables(r.cfg.Graph); err != nil {
		return err
	}
	setup.warnTables(r.cfg.Graph)
	if err := r.keepPartitions(); err != nil {
		return err
	}
	counts, err := r.cfg.Graph.PartitionCounts(func(topic string) (int32, error) { return r.catalogue.Partitions(r.soft, topic) })
	if err != nil {
		return err
	}
	r.plan = &plan{application: r.cfg.ApplicationID, graph: r.cfg.Graph, counts: counts}
	if err := r.layout.check(r.plan, r.log); err != nil {
		return err
	}
	r.guard = r.newStateGuard(r.plan)
	if err := r.guard.check(); err != nil {
		return err
	}
	for _, u := range r.cfg.Graph.UnevenStores(counts) {
		r.log.Warn("records with equal keys may not meet in a store, because their topics have different numbers of partitions: use topology.Repartition",
			"store", u.Store, "partitions", u.Counts)
	}
	return r.plan.explainGrowth(setup.ensure(r.plan.internalTopics(r.cfg.ReplicationFactor)))
}

func (r *Run) newStateGuard(p *plan) *stateGuard {
	return &stateGuard{
		life: r.life, client: r.client, clients: r.clients, restorer: r.restorer, plan: p, layout: r.layout, catalogue: r.catalogue,
		records: r.records, replicationFactor: r.cfg.ReplicationFactor, matched: r.matched,
		remove: r.cfg.RemoveStores, startEmpty: r.cfg.StartEmpty, fs: r.cfg.Seams.FS,
	}
}

// matchTopics replaces the patterns of the topology by the topics that match.
func (r *Run) matchTopics() (err error) {
	r.matching = newMatching(r.life, r.client, &r.cfg, r.known, cmp.Or(r.cfg.Seams.TopicsEvery, topicsEvery), r.recordNoTopics)
	if r.cfg.Graph, err = r.matching.resolve(); err != nil {
		return err
	}
	r.layout.graph = r.cfg.Graph
	if r.matched == nil {
		r.matched = r.matching.first
	}
	return nil
}

// recordNoTopics records that no topic matches. The topics that match later, also if the
// process ends before that, are then not those of the first start.
func (r *Run) recordNoTopics(ctx context.Context) error {
	return r.newStateGuard(&plan{application: r.cfg.ApplicationID, graph: r.cfg.Graph}).newGuard().NothingMatches(ctx)
}
