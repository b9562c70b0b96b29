package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/guard"
	"github.com/millrace-streams/millrace/internal/inputs"
	"github.com/millrace-streams/millrace/internal/registry"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/topics"
	"github.com/millrace-streams/millrace/internal/turn"
)

// stateGuard refuses a topology that does not fit the existing state. It gives package
// guard its view of Kafka and of the disk.
type stateGuard struct {
	*life
	client            *kgo.Client
	clients           *clients
	restorer          *restore.Restorer
	plan              *plan
	layout            *layout
	catalogue         *catalogue
	replicationFactor int16
	records           *inputs.Records
	remove            []string // Config.RemoveStores
	startEmpty        []string // Config.StartEmpty
	matched           []string // topics that matched when the process was started
	fs                vfs.FS

	turn  turn.Turn        // held while recording what the stores mean
	guard *guard.Guard     // nil if there is nothing to compare or to record
	topic registry.TopicID // the registry's ID; zero if there is none

	view        atomic.Pointer[registry.View] // as of the last enrolment; nil before
	conversions conversions
}

// check compares the topology with the application's state, before the group is joined
// and before any topic of a store is created.
func (g *stateGuard) check() error {
	name := graph.RegistryTopic(g.plan.application)
	return g.untilReachable("comparing the topology with the state", func(ctx context.Context) error {
		if len(g.plan.graph.Stores)+len(g.plan.graph.Repartitions)+len(g.plan.graph.PatternsAtEnd()) == 0 {
			exists, err := topics.IDs(ctx, g.client, []string{name})
			if err != nil || len(exists) == 0 && g.layout.before.Shape.Stateless() {
				return err
			}
		}
		g.guard, g.turn = g.newGuard(), turn.New()
		return g.guard.Check(ctx)
	})
}

func (g *stateGuard) newGuard() *guard.Guard {
	return guard.New(guard.Config{
		Application: g.plan.application, Graph: g.plan.graph, Topics: g.recordedTopic,
		Matched: g.matched, Remove: g.remove, StartEmpty: g.startEmpty, Reset: howToReset(g.plan.application, g.layout.dir),
		Directory: guard.Directory{Shape: g.layout.before.Shape, Registry: g.layout.before.registry()},
		Registry: registry.New(registry.Config{
			Application: g.plan.application, Opts: g.clients.options(), Restorer: g.restorer, Ensure: g.ensureRegistry, Logger: g.log,
		}),
		Kafka: guardedTopics{g.client, g.restorer}, Inputs: processedInputs{g}, Disk: guardedDisk{g}, Logger: g.log,
	})
}

// recordedTopic implements registry.Topics. It returns the number of partitions that this
// run uses.
func (g *stateGuard) recordedTopic(name string) (registry.TopicID, int32) {
	known, _ := g.catalogue.lookup(name)
	if t, ok := g.plan.topic(name); ok {
		return known.ID, g.plan.counts[t]
	}
	return known.ID, known.Partitions
}

// ensureRegistry creates the registry's topic if it is missing. It checks an existing one
// once.
func (g *stateGuard) ensureRegistry(ctx context.Context) (registry.TopicID, error) {
	name := graph.RegistryTopic(g.plan.application)
	if g.topic != (registry.TopicID{}) {
		ids, err := topics.IDs(ctx, g.client, []string{name})
		if id, exists := ids[name]; err != nil || exists {
			return id, err
		}
	}
	spec := topics.Spec{Name: name, Partitions: 1, ReplicationFactor: g.replicationFactor, Kind: topics.Registry}
	described, err := topics.Ensure(ctx, g.client, []topics.Spec{spec})
	if err != nil {
		return registry.TopicID{}, err
	}
	warnOf(g.log, described)
	g.topic = described[name].ID
	return g.topic, nil
}

// enrol records what the state means, before newly assigned tasks process their first
// record. The group assigns tasks only to processes with the leader's topology, so this
// process has it.
func (g *stateGuard) enrol(ctx context.Context) error {
	if g.guard == nil {
		return nil
	}
	if err := g.turn.Take(ctx); err != nil {
		return err
	}
	defer g.turn.Free()
	return g.retry(ctx, "recording the descriptions of the stores", func(ctx context.Context) error {
		view, err := g.guard.Enrol(ctx)
		if err == nil {
			g.view.Store(&view)
		}
		return err
	})
}

// recorded returns the registry as of the last enrolment. It is empty before.
func (g *stateGuard) recorded() registry.View {
	if view := g.view.Load(); view != nil {
		return *view
	}
	return registry.View{}
}

// appeared reports whether an input, whose source begins at the end, has come to the
// pattern of the source since the application began to read by the pattern. All records
// of the input are then newer. Tasks of the source must have been enrolled.
func (g *stateGuard) appeared(p inputs.Partition) bool {
	pattern := g.plan.graph.Matched(p.Topic)
	if pattern == nil {
		return false
	}
	first, found := g.recorded().FirstTopics(pattern.Name)
	return found && !first.Has(p.Topic, g.catalogue.id(p.Topic), p.Partition)
}

// guardedTopics implements guard.Kafka.
type guardedTopics struct {
	client   *kgo.Client
	restorer *restore.Restorer
}

func (g guardedTopics) Holds(ctx context.Context, topic string) (bool, error) {
	described, err := topics.Describe(ctx, g.client, []string{topic})
	if err != nil || described[topic].Missing {
		return false, err
	}
	parts := partitionsOf(topic, described[topic].Partitions)
	held, err := g.restorer.Holds(ctx, parts)
	return slices.ContainsFunc(held, func(h restore.Holding) bool { return h.Records }), err
}

func (g guardedTopics) Exist(ctx context.Context, names []string) (map[string]registry.TopicID, error) {
	return topics.IDs(ctx, g.client, names)
}

// deletePoll is the interval at which a deleted topic is looked for.
const deletePoll = 100 * time.Millisecond

func (g guardedTopics) Delete(ctx context.Context, topic string) error {
	deleted, err := kadm.NewClient(g.client).DeleteTopic(ctx, topic)
	if err == nil {
		err = deleted.Err
	}
	if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return err
	}
	for {
		ids, err := topics.IDs(ctx, g.client, []string{topic})
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := backoff.Sleep(ctx, deletePoll); err != nil {
			return err
		}
	}
}

// guardMemory is the memory for checking the databases before the run opens them.
const guardMemory = 16 << 20

// guardedDisk implements guard.Disk.
type guardedDisk struct{ *stateGuard }

func (g guardedDisk) HoldsUnlogged(store, changelog string) (bool, error) {
	dirs, err := g.layout.dir.TaskDirs()
	if err != nil {
		return false, err
	}
	shared := engine.NewShared(guardMemory)
	defer shared.Close()
	for _, dir := range dirs {
		path, err := g.layout.dir.TaskDir(dir)
		if err != nil {
			return false, err
		}
		holds, err := engine.HoldsUnlogged(engine.Options{Dir: path, FS: g.fs, Shared: shared, Logger: g.log}, store, changelog)
		if err != nil {
			return false, fmt.Errorf("look for rows of store %s: %w", store, err)
		}
		if holds {
			return true, nil
		}
	}
	return false, nil
}
