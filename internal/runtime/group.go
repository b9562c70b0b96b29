package runtime

import (
	"cmp"
	"fmt"
	"time"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/membership"
	"github.com/millrace-streams/millrace/internal/taskid"
)

// rebalanceTimeout bounds a revocation. A revocation waits for a commit, which waits for
// user code.
const rebalanceTimeout = 60 * time.Second

// group joins the group and carries out its decisions. It implements membership.Handler.
// A revocation waits for workers, on the goroutine of the group.
type group struct {
	*life
	cfg     *Config
	clients *clients
	process string
	plan    *plan
	tasks   *tasks
	starter *starter
	stops   *stops
	phase   *phase
	member  *member
	lags    func() map[taskid.ID]int64 // the lags of the databases on this disk

	matching *matching
}

// join joins the group. After that, the group calls the methods of membership.Handler.
func (g *group) join() error {
	joined, err := membership.Join(membership.Config{
		Opts: g.clients.options(), Group: g.cfg.ApplicationID, InstanceID: g.process,
		Topology: g.plan.forAssignment(), Subscription: g.subscription,
		SessionTimeout:   g.cfg.SessionTimeout,
		RebalanceTimeout: cmp.Or(g.cfg.Seams.RebalanceTimeout, rebalanceTimeout),
		Handler:          g, Logger: g.log, Mistake: g.cfg.Seams.Mistake,
	})
	if err != nil {
		return err
	}
	g.member.joined(joined)
	return nil
}

// subscription returns the data for the group's leader when the process joins.
func (g *group) subscription() assignment.Subscription {
	sub := assignment.Subscription{ProcessID: g.process, Capacity: g.cfg.Workers, Lags: g.lags()}
	for _, id := range g.tasks.withState() {
		sub.Lags[id] = 0
	}
	return sub
}

// Assigned implements membership.Handler.
func (g *group) Assigned(generation int32, ids []taskid.ID) {
	ids, err := g.known(ids)
	if err != nil {
		g.fail(err)
		return
	}
	assigned, ok := g.tasks.assign(generation, ids)
	if !ok {
		return
	}
	g.phase.report()
	g.log.Info("assigned", "generation", generation, "tasks", texts(ids))
	g.cfg.Events.Rebalance(Rebalance{Generation: generation, Assigned: g.plan.taskList(ids)})
	g.starter.start(assigned)
}

// known returns the tasks without those of partitions that the inputs did not have at the
// start. If the topology has patterns, the group's leader may know a topic that this
// process does not know yet; the process then starts again with it, and gets the task.
// Otherwise such a task is an error.
func (g *group) known(ids []taskid.ID) (known []taskid.ID, err error) {
	for _, id := range ids {
		n := g.plan.tasks(int(id.SubTopology))
		switch {
		case id.Partition < n:
			known = append(known, id)
		case g.matching.used():
			g.log.Info("a task was assigned whose topics this process does not know yet; looking for them", "task", id.String())
			g.matching.expect()
		default:
			return nil, fmt.Errorf("task %v was assigned, but the topics of its part of the topology have %d partitions: %w", id, n, errPartitionsChanged)
		}
	}
	return known, nil
}

// Revoked implements membership.Handler.
func (g *group) Revoked(generation int32, ids []taskid.ID) {
	g.takeAway(Rebalance{Generation: generation}, ids)
}

// Lost implements membership.Handler.
func (g *group) Lost(ids []taskid.ID) {
	g.takeAway(Rebalance{Generation: -1, Lost: true}, ids)
}

// takeAway ends tasks, and returns when no worker has them.
func (g *group) takeAway(rebalance Rebalance, ids []taskid.ID) {
	rebalance.Revoked = g.plan.taskList(ids)
	g.log.Info("revoked", "generation", rebalance.Generation, "tasks", texts(ids), "lost", rebalance.Lost)
	g.cfg.Events.Rebalance(rebalance)
	g.end(ids, rebalance.Lost)
	g.phase.report()
}

// end ends tasks and records where they were stopped. If the tasks are lost, it records
// nothing, because another process may already run them.
func (g *group) end(ids []taskid.ID, lost bool) {
	ended := g.tasks.close(ids, lost)
	if !lost {
		g.stops.record(ended)
	}
}

// Trouble implements membership.Handler.
func (g *group) Trouble(err error, fatal bool) {
	if fatal {
		g.fail(err)
		return
	}
	g.log.Warn("the group has reported an error; trying again", "error", err)
}

func texts[T fmt.Stringer](all []T) []string {
	out := make([]string, len(all))
	for i, each := range all {
		out[i] = each.String()
	}
	return out
}
