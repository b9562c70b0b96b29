package runtime

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/topics"
	"github.com/millrace-streams/millrace/internal/worker"
)

const purgeEvery = 30 * time.Second

// purger deletes processed records from repartition topics, and expired records from
// windowed changelogs. The broker's retention cannot replace the latter: it compares the
// records' timestamps with the clock, but windows are open by stream time.
type purger struct {
	*life
	client   *kgo.Client
	plan     *plan
	statuses func(context.Context) []worker.Status
	every    time.Duration
}

// run deletes until the run begins to close. If there is nothing to delete, it returns at
// once.
func (p *purger) run() {
	if len(p.plan.graph.Repartitions) == 0 && !p.plan.hasWindows() {
		return
	}
	deleting := topics.NewPurger(p.client, p.log)
	for backoff.Sleep(p.soft, p.every) == nil {
		deleting.Purge(p.soft, p.notNeeded())
	}
}

// notNeeded returns the offsets below which this process's tasks have processed
// repartition topics and have no rows from windowed changelogs.
func (p *purger) notNeeded() topics.Offsets {
	repartition := map[string]bool{}
	for _, r := range p.plan.graph.Repartitions {
		repartition[p.plan.name(r.Topic)] = true
	}
	below := topics.Offsets{}
	for _, t := range p.statuses(p.soft) {
		for _, in := range t.Inputs {
			if repartition[in.Topic] {
				below.Set(in.Topic, in.Partition, in.Committed)
			}
		}
		for topic, at := range t.Expired {
			below.Set(topic, t.ID.Partition, at)
		}
	}
	return below
}
