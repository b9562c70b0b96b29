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

// topicWatch checks that input topics and changelogs stay unchanged, and notices new
// partitions of output topics.
type topicWatch struct {
	*life
	client    *kgo.Client
	plan      *plan
	catalogue *catalogue
	every     time.Duration
}

// run checks the topics until the run begins to close.
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

// compare returns an error if a topic differs from the start of the application, and
// still does after topics.MissingAfter. If Kafka cannot be asked, it returns nil.
func (w *topicWatch) compare(ctx context.Context) error {
	return topics.Confirm(ctx, w.compareOnce)
}

func (w *topicWatch) compareOnce(ctx context.Context) error {
	names := w.plan.changelogs()
	for t := range w.plan.counts {
		names = append(names, w.plan.name(t))
	}
	for _, global := range w.plan.graph.Globals {
		names = append(names, global.Topic.Name)
	}
	slices.Sort(names)
	outputs := w.catalogue.others(names)
	details, err := kadm.NewClient(w.client).ListTopics(ctx, slices.Concat(names, outputs)...)
	if err != nil {
		if w.soft.Err() == nil {
			w.log.Warn("could not compare the topics with those at the start; trying again later", "error", err)
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
		w.log.Warn("a topic could not be described; trying again later", "topic", name, "error", is.Err)
	case is.Err != nil && w.plan.graph.Matched(name) != nil:
		return fmt.Errorf("topic %s, which matches %v, was deleted while the application runs: restart the application to go on without it", name, w.plan.graph.Matched(name))
	case is.Err != nil:
		return fmt.Errorf("topic %s was deleted while the application runs: create it again if it is an input; reset the application if it is an internal topic", name)
	case is.ID != was.ID && was.ID != topics.TopicID{} && w.plan.isGlobal(name):
		return fmt.Errorf("topic %s was deleted and created again while the application runs: restart the application; it then reads the global store from the new topic", name)
	case is.ID != was.ID && was.ID != topics.TopicID{}:
		return fmt.Errorf("topic %s was deleted and created again while the application runs: restart the application if the topic is an input; its tasks then start "+
			"where the source says, or, if state was made from it, as Config.RecreatedInputs says; reset the application if it is an internal topic", name)
	case int32(len(is.Partitions)) != was.Partitions && w.plan.isGlobal(name):
		return fmt.Errorf("topic %s had %d partitions when the application started, and has %d now: restart the application; it then reads the global store from all of them: %w",
			name, was.Partitions, len(is.Partitions), errPartitionsChanged)
	case int32(len(is.Partitions)) != was.Partitions:
		return fmt.Errorf("topic %s had %d partitions when the application started, and has %d now: %w", name, was.Partitions, len(is.Partitions), errPartitionsChanged)
	}
	return nil
}

// updateOutputs takes over the numbers of partitions of topics that are only written.
// From the next transaction on, keys go to their new partitions. If a topic cannot be
// described, the next write to it shows why.
func (w *topicWatch) updateOutputs(details kadm.TopicDetails, outputs []string) {
	for _, name := range outputs {
		is, ok := details[name]
		if !ok || is.Err != nil || len(is.Partitions) == 0 {
			continue
		}
		if before, changed := w.catalogue.setPartitions(name, int32(len(is.Partitions))); changed {
			w.log.Info("the number of partitions of an output topic has changed", "topic", name, "before", before, "now", len(is.Partitions))
		}
	}
}
