package runtime

import (
	"cmp"
	"context"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/txn"
	"github.com/millrace-streams/millrace/internal/worker"
	"github.com/millrace-streams/millrace/processor"
)

// assemble gives each part its dependencies. It starts nothing.
func (r *Run) assemble() {
	r.shared = engine.NewShared(r.cfg.StateMemory)
	r.databases = newDatabases(r.life, r.plan, r.layout, r.shared, r.cfg.Seams)
	r.topics = &topicWatch{
		life: r.life, client: r.client, plan: r.plan, catalogue: r.catalogue, every: cmp.Or(r.cfg.Seams.TopicsEvery, topicsEvery),
	}
	r.host = &host{life: r.life, tasks: r.tasks, phase: r.phase, guard: r.guard, events: r.cfg.Events, counters: r.counters}
	r.fillGlobals()
	r.reads = &reads{life: r.life, client: r.client, plan: r.plan, topics: r.topics}
	r.locator = &locator{
		life: r.life, client: r.client, plan: r.plan, catalogue: r.catalogue, restorer: r.restorer, records: r.records,
		identity: r.member.identity, policy: r.cfg.Lost, reset: howToReset(r.cfg.ApplicationID, r.dir),
		open: r.tasks.open, appeared: r.guard.appeared, joined: r.tasks.joined, patience: r.cfg.SessionTimeout,
	}
	r.starter = &starter{
		life: r.life, tasks: r.tasks, enrol: r.guard.enrol, locator: r.locator, phase: r.phase,
		restoring: r.restoring(), unused: r.databases.closeUnused, parallel: r.cfg.Workers,
	}
	r.group = &group{
		life: r.life, cfg: &r.cfg, clients: r.clients, process: r.dir.ProcessID(), plan: r.plan, tasks: r.tasks, starter: r.starter,
		stops: &stops{life: r.life, client: r.client, records: r.records, ran: r.tasks.ran},
		phase: r.phase, member: r.member, lags: r.databases.knownLags, matching: r.matching,
	}
	r.host.starter = r.starter
}

// fillGlobals gives the global stores, which New has made, their dependencies.
func (r *Run) fillGlobals() {
	g := r.globals
	g.life, g.cfg, g.clients, g.restorer, g.catalogue = r.life, &r.cfg, r.clients, r.restorer, r.catalogue
	g.topics, g.dir, g.shared, g.phase = r.topics, r.dir, r.shared, r.phase
	g.observer = observer{r.host, processor.Task{SubTopology: -1}}
}

func (r *Run) restoring() restoring {
	restoring := restoring{life: r.life, reader: r.restorer, retention: r.catalogue, events: r.cfg.Events, policy: r.cfg.Policy, memory: r.cfg.StateMemory / 16}
	if r.cfg.ExactlyOnce {
		restoring.markers = 1
	}
	return restoring
}

// start starts the parts and joins the group. If the run begins to close meanwhile, it
// returns without an error.
func (r *Run) start() error {
	if err := r.reads.start(r.clients, r.cfg.BufferMemory); err != nil {
		return err
	}
	r.spawn(r.topics.run)
	r.spawn(r.matching.watch)
	if err := r.globals.start(); err != nil || !r.globals.complete() {
		return err
	}
	r.openDatabases()
	r.startWorkers()
	purger := &purger{
		life: r.life, client: r.client, plan: r.plan, statuses: r.statuses, every: cmp.Or(r.cfg.Seams.PurgeEvery, purgeEvery),
	}
	watchdog := &watchdog{life: r.life, workers: r.workers, limit: r.cfg.TransactionTimeout / 2}
	r.spawn(purger.run)
	r.spawn(watchdog.run)
	return r.group.join()
}

// openDatabases opens the databases on this disk, measures how far they are behind, and
// publishes what other processes may need of them.
func (r *Run) openDatabases() {
	r.databases.openAll()
	ctx, cancel := context.WithTimeout(r.soft, topicsEvery)
	defer cancel()
	if err := r.databases.measureLags(ctx, r.client); err != nil {
		r.log.Warn("could not ask for the ends of changelogs", "error", err)
	}
	progress, err := r.databases.progress()
	if err == nil {
		err = r.locator.publishDisks(ctx, r.dir.ProcessID(), progress)
	}
	if err != nil {
		r.log.Warn("could not publish the state of this disk: a task that has lost its offsets cannot continue in another process", "error", err)
	}
}

func (r *Run) startWorkers() {
	globals := r.globals.rows()
	for i := range r.cfg.Workers {
		r.workers = append(r.workers, worker.New(r.workerConfig(i, globals)))
	}
	r.tasks.setUp(r.plan, r.databases, r.workers)
	for _, w := range r.workers {
		go w.Run(r.hard)
	}
}

func (r *Run) workerConfig(index int, globals map[string]*engine.Reader) worker.Config {
	return worker.Config{
		Index: index, ApplicationID: r.cfg.ApplicationID, Graph: r.cfg.Graph, Globals: globals, Policy: r.cfg.Policy, EveryUpdate: r.cfg.EveryUpdate,
		// With at-least-once, records would have to wait for a commit.
		Combine:       r.cfg.ExactlyOnce && !r.cfg.Seams.NoCombining,
		TaskIdle:      r.cfg.TaskIdle,
		Transactional: r.cfg.ExactlyOnce, CommitInterval: r.cfg.CommitInterval, TransactionTimeout: r.cfg.TransactionTimeout,
		NewProducer: func(caution *txn.Caution) (*txn.Producer, error) { return r.producers.make(index, caution) },
		Identity:    r.member.identity, Fetcher: r.reads.fetcher, Topics: r.catalogue, Host: r.host, Logger: r.log,
		Mistake: r.cfg.Seams.Mistake,
	}
}
