package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/guard"
	"github.com/millrace-streams/millrace/internal/registry"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/topics"
	"github.com/millrace-streams/millrace/internal/turn"
)

// guarding is the session's guard of the state. The zero value guards nothing: there is
// no state.
type guarding struct {
	turn  turn.Turn // to record what the stores mean
	guard *guard.Guard
	topic registry.TopicID
}

// checkState compares the topology with the state that the application has, before the
// group is joined and before any topic of a store is made.
func (s *Run) checkState() error {
	name := graph.RegistryTopic(s.cfg.ApplicationID)
	return s.untilReachable("comparing the topology with the state", func(ctx context.Context) error {
		if len(s.graph.Stores)+len(s.graph.Repartitions) == 0 {
			exists, err := s.topicIDs(ctx, []string{name})
			if err != nil || len(exists) == 0 && s.layout.before.Shape.Stateless() {
				return err
			}
		}
		s.guarding.guard, s.guarding.turn = s.newGuard(), turn.New()
		return s.guarding.guard.Check(ctx)
	})
}

func (s *Run) newGuard() *guard.Guard {
	return guard.New(guard.Config{
		Application: s.cfg.ApplicationID, Graph: s.graph, Topics: s.recordedTopic, Remove: s.cfg.RemoveStores, Reset: s.howToReset(),
		Directory: guard.Directory{Shape: s.layout.before.Shape, Registry: s.layout.before.registry()},
		Registry: registry.New(registry.Config{
			Application: s.cfg.ApplicationID, Opts: s.clientOptions(), Restorer: s.restorer, Ensure: s.ensureRegistry, Logger: s.log,
		}),
		Kafka: guardedTopics{s}, Disk: guardedDisk{s}, Logger: s.log,
	})
}

// recordedTopic implements registry.Topics. The numbers of partitions are those that this
// run goes by.
func (s *Run) recordedTopic(name string) (registry.TopicID, int32) {
	known, _ := s.topics.lookup(name)
	if t, ok := s.topicOf(name); ok {
		return known.ID, s.layout.counts[t]
	}
	return known.ID, known.Partitions
}

// ensureRegistry makes the registry's topic if it is missing. An existing one is checked
// once.
func (s *Run) ensureRegistry(ctx context.Context) (registry.TopicID, error) {
	name := graph.RegistryTopic(s.cfg.ApplicationID)
	if s.guarding.topic != (registry.TopicID{}) {
		ids, err := s.topicIDs(ctx, []string{name})
		if id, exists := ids[name]; err != nil || exists {
			return id, err
		}
	}
	spec := topics.Spec{Name: name, Partitions: 1, ReplicationFactor: s.cfg.ReplicationFactor, Kind: topics.Registry}
	described, err := topics.Ensure(ctx, s.client, []topics.Spec{spec})
	if err != nil {
		return registry.TopicID{}, err
	}
	s.warnOf(described)
	s.guarding.topic = described[name].ID
	return s.guarding.topic, nil
}

// topicIDs returns the IDs of those topics that exist and that the application may see.
// It asks a broker, and not what the client remembers of an earlier answer.
func (s *Run) topicIDs(ctx context.Context, names []string) (map[string]registry.TopicID, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return nil, err
	}
	ids := map[string]registry.TopicID{}
	for _, t := range resp.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case t.Topic == nil, errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.TopicAuthorizationFailed):
		case err != nil && !errors.Is(err, kerr.LeaderNotAvailable):
			return nil, fmt.Errorf("topic %s: %w", *t.Topic, err)
		default:
			ids[*t.Topic] = t.TopicID
		}
	}
	return ids, nil
}

// enrolled records what the state means before the first record of tasks, and returns the
// tasks without those that were taken away meanwhile. The group has given this process
// tasks, so its topology is the leader's.
func (s *Run) enrolled(tasks []*held) []*held {
	return s.untilDone(tasks, func(tasks []*held) error {
		ctx, cancel := s.untilGone(tasks)
		defer cancel()
		if s.guarding.guard == nil || !s.anyFresh(tasks) {
			return nil
		}
		if err := s.guarding.turn.Take(ctx); err != nil {
			return err
		}
		defer s.guarding.turn.Free()
		return retry(ctx, s.log, "recording what the stores mean", s.guarding.guard.Enrol)
	})
}

// anyFresh reports whether one of the tasks has not run here since it was assigned.
func (s *Run) anyFresh(tasks []*held) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range tasks {
		if !h.wasRunning {
			return true
		}
	}
	return false
}

// guardedTopics implements guard.Kafka.
type guardedTopics struct{ s *Run }

func (g guardedTopics) Holds(ctx context.Context, topic string) (bool, error) {
	described, err := topics.Describe(ctx, g.s.client, []string{topic})
	if err != nil || described[topic].Missing {
		return false, err
	}
	parts := partitionsOf(topic, described[topic].Partitions)
	held, err := g.s.restorer.Holds(ctx, parts)
	return slices.ContainsFunc(held, func(h restore.Holding) bool { return h.Records }), err
}

func (g guardedTopics) Exist(ctx context.Context, names []string) (map[string]registry.TopicID, error) {
	return g.s.topicIDs(ctx, names)
}

// deletePoll is how often a deleted topic is looked for.
const deletePoll = 100 * time.Millisecond

func (g guardedTopics) Delete(ctx context.Context, topic string) error {
	deleted, err := kadm.NewClient(g.s.client).DeleteTopic(ctx, topic)
	if err == nil {
		err = deleted.Err
	}
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return err
	}
	for {
		ids, err := g.s.topicIDs(ctx, []string{topic})
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := backoff.Sleep(ctx, deletePoll); err != nil {
			return err
		}
	}
}

// guardMemory is the memory for looking into the databases before the run opens them.
const guardMemory = 16 << 20

// guardedDisk implements guard.Disk.
type guardedDisk struct{ s *Run }

func (g guardedDisk) HoldsUnlogged(store, changelog string) (bool, error) {
	dirs, err := g.s.dir.TaskDirs()
	if err != nil {
		return false, err
	}
	shared := engine.NewShared(guardMemory)
	defer shared.Close()
	for _, dir := range dirs {
		path, err := g.s.dir.TaskDir(dir)
		if err != nil {
			return false, err
		}
		holds, err := engine.HoldsUnlogged(engine.Options{Dir: path, FS: g.s.cfg.Seams.FS, Shared: shared, Logger: g.s.log}, store, changelog)
		if err != nil {
			return false, fmt.Errorf("looking for rows of store %s: %w", store, err)
		}
		if holds {
			return true, nil
		}
	}
	return false, nil
}
