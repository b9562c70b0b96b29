package guard

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registry"
	"github.com/millrace-streams/millrace/internal/store"
)

// fakeKafka knows which changelogs hold a record. It fails for a topic with an error.
type fakeKafka struct {
	holds map[string]bool
	err   error
	asked []string
}

func (k *fakeKafka) Holds(_ context.Context, topic string) (bool, error) {
	k.asked = append(k.asked, topic)
	return k.holds[topic], k.err
}

func (k *fakeKafka) Exist(context.Context, []string) (map[string]registry.TopicID, error) {
	return nil, nil
}

func (k *fakeKafka) Delete(context.Context, string) error { return nil }

// fakeDisk knows which stores have rows on this disk only.
type fakeDisk map[string]bool

func (d fakeDisk) HoldsUnlogged(store, _ string) (bool, error) { return d[store], nil }

// topologyOf is one sub-topology that reads "in". It has stores, by name and format.
func topologyOf(stores ...graph.StoreShape) *graph.Graph {
	sub := &graph.SubTopology{Name: "in", Sources: []graph.Topic{{Name: "in"}}}
	for _, s := range stores {
		sub.Stores = append(sub.Stores, &graph.Store{Name: s.Name, Format: s.Format, Spec: &store.Spec{Name: s.Name, Kind: store.KeyValue}})
	}
	return &graph.Graph{Stores: sub.Stores, SubTopologies: []*graph.SubTopology{sub}}
}

func guardOf(before, now *graph.Graph, kafka *fakeKafka, disk fakeDisk, remove ...string) *Guard {
	return New(Config{
		Application: "app", Graph: now, Directory: Directory{Shape: before.Shape()}, Remove: remove, Reset: "reset it",
		Topics: func(string) (registry.TopicID, int32) { return registry.TopicID{}, 1 },
		Kafka:  kafka, Disk: disk, Logger: slog.New(slog.DiscardHandler),
	})
}

// The reasons to refuse a topology if only the state directory has a record of the
// stores.
func TestJudge(t *testing.T) {
	t.Parallel()
	counts, others := graph.StoreShape{Name: "counts", Format: "int64"}, graph.StoreShape{Name: "others", Format: "string"}
	changed := graph.StoreShape{Name: "counts", Format: "json"}
	rows := map[string]bool{"app-counts-changelog": true}
	for _, tc := range []struct {
		name        string
		before, now *graph.Graph
		holds       map[string]bool
		disk        fakeDisk
		remove      []string
		refused     []string
		advice      string
	}{
		{name: "first start", before: topologyOf(), now: topologyOf(counts)},
		{name: "unchanged", before: topologyOf(counts), now: topologyOf(counts), holds: rows},
		{name: "added", before: topologyOf(counts), now: topologyOf(counts, others), holds: rows},
		{name: "gone", before: topologyOf(counts), now: topologyOf(), holds: rows, refused: []string{"counts"}, advice: "set Config.RemoveStores to counts"},
		{name: "gone, on this disk only", before: topologyOf(counts), now: topologyOf(), disk: fakeDisk{"counts": true}, refused: []string{"counts"}, advice: "reset it"},
		{name: "gone and empty", before: topologyOf(counts), now: topologyOf()},
		{name: "gone by name", before: topologyOf(counts), now: topologyOf(), holds: rows, remove: []string{"counts"}},
		{name: "another one by name", before: topologyOf(counts), now: topologyOf(), holds: rows, remove: []string{"others"}, refused: []string{"counts"}},
		{name: "changed", before: topologyOf(counts), now: topologyOf(changed), holds: rows, refused: []string{"counts"}, advice: "a new name"},
		{name: "changed and empty", before: topologyOf(counts), now: topologyOf(changed)},
		{name: "changed, and named to remove", before: topologyOf(counts), now: topologyOf(changed), holds: rows, remove: []string{"counts"}, refused: []string{"counts"}},
		{name: "renamed", before: topologyOf(counts), now: topologyOf(others), holds: rows, refused: []string{"counts"}},
		{
			name: "two, in order of name", before: topologyOf(others, counts), now: topologyOf(),
			holds: map[string]bool{"app-counts-changelog": true, "app-others-changelog": true}, refused: []string{"counts", "others"}, advice: "counts, others",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			g := guardOf(tc.before, tc.now, &fakeKafka{holds: tc.holds}, tc.disk, tc.remove...)
			if err := g.askDisk(registry.View{}); err != nil {
				t.Fatal(err)
			}
			err := g.judge(context.Background(), registry.View{})
			wantRefused(t, err, tc.refused, tc.advice)
		})
	}
}

// wantRefused checks that exactly these stores were refused, with an error that contains
// text. If stores is nil, there must be no error.
func wantRefused(t *testing.T, err error, stores []string, text string) {
	t.Helper()
	var refused *Error
	if errors.As(err, &refused) != (stores != nil) || err != nil && refused == nil {
		t.Fatalf("got %v, want %v to be refused", err, stores)
	}
	if refused != nil && (!slices.Equal(refused.Stores, stores) || !strings.Contains(err.Error(), text)) {
		t.Errorf("refused %v: %v\nwant %v and %q", refused.Stores, err, stores, text)
	}
}

// If it is not known whether a store holds rows, the judgement fails.
func TestJudgeNeedsAnAnswer(t *testing.T) {
	t.Parallel()
	kafka := &fakeKafka{err: errors.New("no leader")}
	g := guardOf(topologyOf(graph.StoreShape{Name: "counts", Format: "int64"}), topologyOf(), kafka, nil)
	err := g.judge(context.Background(), registry.View{})
	if !errors.Is(err, kafka.err) || !strings.Contains(err.Error(), "store counts") {
		t.Errorf("got %v", err)
	}
	if want := []string{"app-counts-changelog"}; !slices.Equal(kafka.asked, want) {
		t.Errorf("asked %v, want %v", kafka.asked, want)
	}
}
