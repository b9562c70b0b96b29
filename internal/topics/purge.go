package topics

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Purger deletes records that the application no longer needs: processed records of
// repartition topics, and records of expired windows in windowed changelogs. Only one
// goroutine may use it.
type Purger struct {
	admin  *kadm.Client
	log    *slog.Logger
	purged Offsets
	warned map[warning]time.Time
}

type warning struct{ topic, cause string }

// warnEvery is the interval at which the same reason for a failed purge is logged again.
const warnEvery = time.Hour

// NewPurger makes a Purger.
func NewPurger(cl *kgo.Client, log *slog.Logger) *Purger {
	return &Purger{admin: kadm.NewClient(cl), log: log, purged: Offsets{}, warned: map[warning]time.Time{}}
}

// Purge deletes the records below the given offsets. It skips partitions whose offset has
// not grown since their last purge. A refusal is logged, once an hour per topic and
// cause, and is not an error: a later call purges the partition.
func (p *Purger) Purge(ctx context.Context, below Offsets) {
	var due kadm.Offsets
	for topic, partitions := range below.Since(p.purged) {
		for partition, offset := range partitions {
			due.AddOffset(topic, partition, offset, -1)
		}
	}
	if len(due) == 0 {
		return
	}
	responses, err := p.admin.DeleteRecords(ctx, due)
	for topic, partitions := range responses {
		for partition, r := range partitions {
			if r.Err != nil {
				p.warn(topic, r.Err)
				continue
			}
			p.purged.Set(topic, partition, below[topic][partition])
		}
	}
	if err != nil && ctx.Err() == nil {
		p.warn("", err)
	}
}

func (p *Purger) warn(topic string, err error) {
	key := warning{topic, err.Error()}
	if at, ok := p.warned[key]; ok && time.Since(at) < warnEvery {
		return
	}
	p.warned[key] = time.Now()
	p.log.Warn("could not delete records that are no longer needed, so the topic grows; trying again",
		"topic", topic, "error", err, "advice", purgeAdvice(err))
}

func purgeAdvice(err error) string {
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return "allow the application the operation Delete on the topic"
	case errors.Is(err, kerr.PolicyViolation):
		return "add delete to the topic's cleanup.policy"
	}
	return "none: the error may be temporary"
}

// Offsets are offsets by topic and partition.
type Offsets map[string]map[int32]int64

// Set sets the offset of a partition.
func (o Offsets) Set(topic string, partition int32, offset int64) {
	if o[topic] == nil {
		o[topic] = map[int32]int64{}
	}
	o[topic][partition] = offset
}

// Since returns the offsets that are larger than the earlier ones. A missing partition
// counts as 0.
func (o Offsets) Since(earlier Offsets) Offsets {
	larger := Offsets{}
	for topic, partitions := range o {
		for partition, offset := range partitions {
			if offset > earlier[topic][partition] {
				larger.Set(topic, partition, offset)
			}
		}
	}
	return larger
}
