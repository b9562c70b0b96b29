package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/topics"
)

const topicsEvery = 10 * time.Second

// watchTopics looks whether the topics that are read, and the changelogs, stay as they
// were, and how many partitions those have that are written.
func (s *Run) watchTopics() {
	every := topicsEvery
	if d := s.cfg.Seams.TopicsEvery; d > 0 {
		every = d
	}
	for backoff.Sleep(s.soft, every) == nil {
		ctx, cancel := context.WithTimeout(s.soft, topicsEvery)
		err := s.compareTopics(ctx)
		cancel()
		if err != nil {
			s.fail(err)
			return
		}
	}
}

// compareTopics returns an error if a topic is not what it was when the application
// started, and stays so for topics.MissingAfter. It returns nil if Kafka cannot be asked.
func (s *Run) compareTopics(ctx context.Context) error {
	return topics.Confirm(ctx, s.compareOnce)
}

func (s *Run) compareOnce(ctx context.Context) error {
	names := slices.Clone(s.topics.changelogs())
	for t := range s.layout.counts {
		names = append(names, t.In(s.cfg.ApplicationID))
	}
	slices.Sort(names)
	outputs := s.topics.others(names)
	details, err := kadm.NewClient(s.client).ListTopics(ctx, slices.Concat(names, outputs)...)
	if err != nil {
		if s.soft.Err() == nil {
			s.log.Warn("looking whether the topics are still the same; tried again later", "error", err)
		}
		return nil
	}
	s.updateOutputs(details, outputs)
	for _, name := range names {
		was, _ := s.topics.lookup(name)
		is, ok := details[name]
		switch {
		case !ok || is.Err != nil && !errors.Is(is.Err, kerr.UnknownTopicOrPartition):
			s.log.Warn("a topic cannot be described; tried again later", "topic", name, "error", is.Err)
		case is.Err != nil:
			return fmt.Errorf("topic %s has disappeared while the application runs: an input has to be made again; for an internal topic, reset the application", name)
		case is.ID != was.ID && was.ID != topics.TopicID{}:
			return fmt.Errorf("topic %s was deleted and created again while the application runs: its offsets mean other records now; restart after "+
				"resetting the offsets of group %s, and the application if the topic is an internal one", name, s.cfg.ApplicationID)
		case int32(len(is.Partitions)) != was.Partitions:
			return fmt.Errorf("topic %s had %d partitions when the application started, and has %d now: %w", name, was.Partitions, len(is.Partitions), errPartitionsChanged)
		}
	}
	return nil
}

// updateOutputs takes over how many partitions the topics have that are only written:
// from the next transaction on keys go where they then belong. What has become of a topic
// that cannot be described shows when it is written.
func (s *Run) updateOutputs(details kadm.TopicDetails, outputs []string) {
	for _, name := range outputs {
		is, ok := details[name]
		if !ok || is.Err != nil || len(is.Partitions) == 0 {
			continue
		}
		if before, changed := s.topics.setPartitions(name, int32(len(is.Partitions))); changed {
			s.log.Info("an output topic has another number of partitions than before", "topic", name, "before", before, "now", len(is.Partitions))
		}
	}
}
