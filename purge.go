package millrace

import (
	"time"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/topics"
)

const purgeEvery = 30 * time.Second

// purge deletes what has been processed from the repartition topics.
func (s *session) purge() {
	if len(s.graph.Repartitions) == 0 {
		return
	}
	every := purgeEvery
	if d := s.app.seams.purgeEvery; d > 0 {
		every = d
	}
	purger := topics.NewPurger(s.client, s.log)
	for backoff.Sleep(s.soft, every) == nil {
		purger.Purge(s.soft, s.processed())
	}
}

// processed returns up to where the repartition topics have been processed by the tasks that are here.
func (s *session) processed() topics.Offsets {
	repartition := map[string]bool{}
	for _, p := range s.graph.Repartitions {
		repartition[p.Topic.In(s.cfg.ApplicationID)] = true
	}
	below := topics.Offsets{}
	for _, t := range s.statuses(s.soft) {
		for _, in := range t.Inputs {
			if repartition[in.Topic] {
				below.Set(in.Topic, in.Partition, in.Committed)
			}
		}
	}
	return below
}
