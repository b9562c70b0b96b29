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

// purger deletes from repartition topics what has been processed, and from windowed
// changelogs what has expired in the stores. The broker's retention cannot do the latter:
// it compares the records' timestamps with the clock, and windows are open by stream
// time.
type purger struct {
	*life
	client   *kgo.Client
	plan     *plan
	statuses func(context.Context) []worker.Status
	every    time.Duration
}

// run deletes until the run begins to close. It returns at once if there is nothing to
// delete.
func (p *purger) run() {
	if len(p.plan.graph.Repartitions) == 0 && !p.plan.hasWindows() {
		return
	}
	deleting := topics.NewPurger(p.client, p.log)
	for backoff.Sleep(p.soft, p.every) == nil {
		deleting.Purge(p.soft, p.notNeeded())
	}
}

// notNeeded returns up to where repartition topics have been processed, and windowed
// changelogs have expired, in the tasks that this process holds.
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
