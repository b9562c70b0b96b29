package guard

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registry"
	"github.com/millrace-streams/millrace/internal/store"
)

// filled is a topology with a store for each topic, which has the topic's name. If lookUp
// is set, the node behind the topic only looks rows up.
func filled(lookUp bool, topics ...string) *graph.Graph {
	var nodes []*graph.Node
	var stores []*graph.Store
	for _, topic := range topics {
		source := &graph.Node{Name: topic + "-source", Kind: graph.Source, Topics: []graph.Topic{{Name: topic}}}
		user := &graph.Node{Name: topic + "-user", Kind: graph.Processor, Parents: []*graph.Node{source}, Stores: []string{topic}}
		if lookUp {
			user.LooksUp = user.Stores
		}
		nodes = append(nodes, source, user)
		stores = append(stores, &graph.Store{Name: topic, Format: "f", Spec: &store.Spec{Name: topic, Kind: store.KeyValue}})
	}
	return graph.Assemble(nodes, stores, nil)
}

// with changes the spec of each store.
func with(g *graph.Graph, change func(*store.Spec)) *graph.Graph {
	for _, s := range g.Stores {
		change(s.Spec)
	}
	return g
}

// waiting makes the stores those of records that wait.
func waiting(g *graph.Graph) *graph.Graph {
	for _, s := range g.Stores {
		s.Waiting = true
	}
	return g
}

// The reasons to refuse a store that the application did not have.
func TestJudgeNewStores(t *testing.T) {
	t.Parallel()
	first, second := registry.TopicID{1}, registry.TopicID{2}
	none := filled(false)
	inMemory := func(s *store.Spec) { s.InMemory = true }
	unlogged := func(s *store.Spec) { s.NoChangelog = true }
	for _, tc := range []struct {
		name        string
		before, now *graph.Graph
		directory   registry.TopicID // the registry at the last run; now it is first
		processed   []string
		holds       map[string]bool
		empty       []string
		refused     []string
		text        string
	}{
		{name: "nothing was processed", before: none, now: filled(false, "a")},
		{name: "its input was processed", before: none, now: filled(false, "a"), processed: []string{"a"}, refused: []string{"a"}, text: "records of a: its content"},
		{name: "another input was processed", before: none, now: filled(false, "a", "b"), processed: []string{"b"}, refused: []string{"b"}, text: "set Config.StartEmpty to b;"},
		{name: "all inputs were processed", before: none, now: filled(false, "b", "a"), processed: []string{"a", "b"}, refused: []string{"a", "b"}, text: "Config.StartEmpty to a, b;"},
		{name: "it may start empty", before: none, now: filled(false, "a"), processed: []string{"a"}, empty: []string{"a"}},
		{name: "another one may start empty", before: none, now: filled(false, "a"), processed: []string{"a"}, empty: []string{"b"}, refused: []string{"a"}},
		{name: "its changelog has rows", before: none, now: filled(false, "a"), processed: []string{"a"}, holds: map[string]bool{"app-a-changelog": true}},
		{name: "records of the input only look rows up", before: none, now: filled(true, "a"), processed: []string{"a"}},
		{name: "in memory", before: none, now: with(filled(false, "a"), inMemory), processed: []string{"a"}, refused: []string{"a"}},
		{name: "without a changelog", before: none, now: with(filled(false, "a"), unlogged), processed: []string{"a"}, refused: []string{"a"}},
		{name: "in memory without a changelog", before: none, now: with(with(filled(false, "a"), inMemory), unlogged), processed: []string{"a"}},
		{name: "for records that wait", before: none, now: waiting(filled(false, "a")), processed: []string{"a"}},
		{name: "of a version without a registry", before: filled(false, "a"), now: filled(false, "a"), processed: []string{"a"}},
		{name: "of a registry that was deleted", before: filled(false, "a"), now: filled(false, "a"), directory: second, processed: []string{"a"}},
		{
			name: "of a start that was not enrolled", before: filled(false, "a"), now: filled(false, "a"), directory: first,
			processed: []string{"a"}, refused: []string{"a"},
		},
		{
			name: "one is gone and one is new", before: filled(false, "b"), now: filled(false, "a"), processed: []string{"a"},
			holds: map[string]bool{"app-b-changelog": true}, refused: []string{"a", "b"}, text: "set Config.RemoveStores to b; to start new stores without the earlier records, set Config.StartEmpty to a;",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			g := guardOf(tc.before, tc.now, &fakeKafka{holds: tc.holds}, nil)
			g.cfg.Directory.Registry, g.cfg.StartEmpty, g.processed = tc.directory, tc.empty, tc.processed
			err := g.judge(context.Background(), registry.View{TopicID: first})
			wantRefused(t, err, tc.refused, tc.text)
		})
	}
}

// If it is not known whether a changelog holds rows, the judgement fails.
func TestJudgeOfNewStoresNeedsAnAnswer(t *testing.T) {
	t.Parallel()
	kafka := &fakeKafka{err: errors.New("no leader")}
	g := guardOf(filled(false), filled(false, "a"), kafka, nil)
	g.processed = []string{"a"}
	if err := g.judge(context.Background(), registry.View{}); !errors.Is(err, kafka.err) || !strings.Contains(err.Error(), "store a") {
		t.Errorf("got %v", err)
	}
}
