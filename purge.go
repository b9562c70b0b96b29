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
	purged := offsets{}
	for backoff.Sleep(s.soft, every) == nil {
		below := s.processed().since(purged)
		if err := topics.Purge(s.soft, s.client, below); err == nil {
			purged.raise(below)
		} else if s.soft.Err() == nil {
			s.log.Warn("repartition topics were not purged; tried again later", "error", err)
		}
	}
}

// processed returns up to where the repartition topics have been processed by the tasks that are here.
func (s *session) processed() offsets {
	repartition := map[string]bool{}
	for _, p := range s.graph.Repartitions {
		repartition[p.Topic.In(s.cfg.ApplicationID)] = true
	}
	below := offsets{}
	for _, t := range s.statuses(s.soft) {
		for _, in := range t.Inputs {
			if repartition[in.Topic] {
				below.set(in.Topic, in.Partition, in.Committed)
			}
		}
	}
	return below
}

// offsets are offsets by topic and partition.
type offsets map[string]map[int32]int64

func (o offsets) set(topic string, partition int32, offset int64) {
	if o[topic] == nil {
		o[topic] = map[int32]int64{}
	}
	o[topic][partition] = offset
}

// since returns the offsets that are larger than earlier ones; what is not there counts as 0.
func (o offsets) since(earlier offsets) offsets {
	larger := offsets{}
	for topic, partitions := range o {
		for partition, offset := range partitions {
			if offset > earlier[topic][partition] {
				larger.set(topic, partition, offset)
			}
		}
	}
	return larger
}

// raise sets those of other.
func (o offsets) raise(other offsets) {
	for topic, partitions := range other {
		for partition, offset := range partitions {
			o.set(topic, partition, offset)
		}
	}
}
