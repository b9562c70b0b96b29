package runtime

import (
	"context"
	"slices"
	"sync"

	"github.com/millrace-streams/millrace/internal/registry"
	"github.com/millrace-streams/millrace/internal/store"
)

// conversions are the partitions of stores whose rows all have the newest format of their
// values, as far as this process knows them to be recorded. Several goroutines may use
// them.
type conversions struct {
	mu   sync.Mutex
	mine []registry.Swept // that this process records, or has recorded
}

// add reports whether a conversion has to be recorded. view is the registry as of the
// last enrolment.
func (c *conversions) add(view registry.View, s registry.Swept) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if view.Has(s) || slices.Contains(c.mine, s) {
		return false
	}
	c.mine = append(c.mine, s)
	return true
}

// forget makes add return true again.
func (c *conversions) forget(s registry.Swept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mine = slices.DeleteFunc(c.mine, func(other registry.Swept) bool { return other == s })
}

// converted records that all rows of a store's partition have a format. It does not wait.
// If the record cannot be written, the next task that opens the partition tries again:
// until then, the options that convert the rows cannot be removed.
func (g *stateGuard) converted(name string, partition int32, format int) {
	topic := store.ChangelogTopic(g.plan.application, name)
	id, _ := g.recordedTopic(topic)
	done := registry.Swept{Store: name, Partition: partition, ChangelogID: id, Format: format}
	// Without a changelog there is no ID, and another disk may have old rows.
	if id == (registry.TopicID{}) || !g.conversions.add(g.recorded(), done) {
		return
	}
	g.spawn(func() {
		err := g.untilReachable("recording the end of a migration", func(context.Context) error {
			// A record that was sent may be written. So the run does not give it up
			// when it begins to close: the log would not say that it is written.
			return registry.WriteSwept(g.hard, g.client, g.plan.application, done)
		})
		if err == nil {
			g.log.Info("the end of a migration is recorded", "store", name, "partition", partition, "format", format)
			return
		}
		g.conversions.forget(done)
		if g.soft.Err() == nil {
			g.log.Warn("could not record the end of a migration; the next start of the task tries again", "store", name, "partition", partition, "error", err)
		}
	})
}
