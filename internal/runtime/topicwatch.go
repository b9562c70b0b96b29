package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/topics"
)

const topicsEvery = 10 * time.Second

// topicWatch looks whether the topics that are read, and the changelogs, stay as they
// were, and how many partitions those have that are written.
type topicWatch struct {
	*life
	client    *kgo.Client
	plan      *plan
	catalogue *catalogue
	every     time.Duration
}

// run looks at the topics until the run begins to close.
func (w *topicWatch) run() {
	for backoff.Sleep(w.soft, w.every) == nil {
		ctx, cancel := context.WithTimeout(w.soft, topicsEvery)
		err := w.compare(ctx)
		cancel()
		if err != nil {
			w.fail(err)
			return
		}
	}
}

// compare returns an error if a topic is not what it was when the application started,
// and stays so for topics.MissingAfter. It returns nil if Kafka cannot be asked.
func (w *topicWatch) compare(ctx context.Context) error {
	return topics.Confirm(ctx, w.compareOnce)
}

func (w *topicWatch) compareOnce(ctx context.Context) error {
	names := w.plan.changelogs()
	for t := range w.plan.counts {
		names = append(names, w.plan.name(t))
	}
	slices.Sort(names)
	outputs := w.catalogue.others(names)
	details, err := kadm.NewClient(w.client).ListTopics(ctx, slices.Concat(names, outputs)...)
	if err != nil {
		if w.soft.Err() == nil {
			w.log.Warn("looking whether the topics are still the same; tried again later", "error", err)
		}
		return nil
	}
	w.updateOutputs(details, outputs)
	for _, name := range names {
		if err := w.compareTopic(name, details); err != nil {
			return err
		}
	}
	return nil
}

func (w *topicWatch) compareTopic(name string, details kadm.TopicDetails) error {
	was, _ := w.catalogue.lookup(name)
	is, ok := details[name]
	switch {
	case !ok || is.Err != nil && !errors.Is(is.Err, kerr.UnknownTopicOrPartition):
		w.log.Warn("a topic cannot be described; tried again later", "topic", name, "error", is.Err)
	case is.Err != nil:
		return fmt.Errorf("topic %s has disappeared while the application runs: an input has to be made again; for an internal topic, reset the application", name)
	case is.ID != was.ID && was.ID != topics.TopicID{}:
		return fmt.Errorf("topic %s was deleted and created again while the application runs: its offsets mean other records now; restart after "+
			"resetting the offsets of group %s, and the application if the topic is an internal one", name, w.plan.application)
	case int32(len(is.Partitions)) != was.Partitions:
		return fmt.Errorf("topic %s had %d partitions when the application started, and has %d now: %w", name, was.Partitions, len(is.Partitions), errPartitionsChanged)
	}
	return nil
}

// updateOutputs takes over how many partitions the topics have that are only written:
// from the next transaction on keys go where they then belong. What has become of a topic
// that cannot be described shows when it is written.
func (w *topicWatch) updateOutputs(details kadm.TopicDetails, outputs []string) {
	for _, name := range outputs {
		is, ok := details[name]
		if !ok || is.Err != nil || len(is.Partitions) == 0 {
			continue
		}
		if before, changed := w.catalogue.setPartitions(name, int32(len(is.Partitions))); changed {
			w.log.Info("an output topic has another number of partitions than before", "topic", name, "before", before, "now", len(is.Partitions))
		}
	}
}
