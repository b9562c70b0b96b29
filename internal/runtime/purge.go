package runtime

import (
	"time"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/topics"
)

const purgeEvery = 30 * time.Second

// purge deletes from repartition topics what has been processed, and from windowed
// changelogs what has expired in the stores. The broker's retention cannot do the latter:
// it compares the records' timestamps with the clock, and windows are open by stream
// time.
func (s *Run) purge() {
	if len(s.graph.Repartitions) == 0 && !s.hasWindows() {
		return
	}
	every := purgeEvery
	if d := s.cfg.Seams.PurgeEvery; d > 0 {
		every = d
	}
	purger := topics.NewPurger(s.client, s.log)
	for backoff.Sleep(s.soft, every) == nil {
		purger.Purge(s.soft, s.notNeeded())
	}
}

// hasWindows reports whether there is a store with a windowed changelog.
func (s *Run) hasWindows() bool {
	for _, sub := range s.graph.SubTopologies {
		for _, s := range sub.Stores {
			if s.Spec.Changelog().Kind == store.WindowedChangelog {
				return true
			}
		}
	}
	return false
}

// notNeeded returns up to where repartition topics have been processed, and windowed
// changelogs have expired, in the tasks that this process holds.
func (s *Run) notNeeded() topics.Offsets {
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
		for topic, at := range t.Expired {
			below.Set(topic, t.ID.Partition, at)
		}
	}
	return below
}
