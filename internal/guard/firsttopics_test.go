package guard

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/registry"
)

// matching is a topology whose source "ins" has a pattern, and begins at the end of those
// of the topics that match.
func matching(t *testing.T, pattern string, topics ...string) *graph.Graph {
	p, err := graph.NewPattern("ins", pattern)
	if err != nil {
		t.Fatal(err)
	}
	source := &graph.Node{Name: "ins", Kind: graph.Source, Pattern: p, SourceOpts: graph.SourceOptions{StartAt: graph.Latest}}
	for _, topic := range topics {
		if p.Matches(topic) {
			source.Topics = append(source.Topics, graph.Topic{Name: topic})
		}
	}
	return graph.Assemble([]*graph.Node{source}, nil, nil)
}

// The first topics of a source without a record.
func TestPresentTopics(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		matched   []string // when the process was started
		committed []string
		want      []string
	}{
		{name: "the first start", matched: []string{"a1", "a2"}, want: []string{"a1", "a2"}},
		{name: "a topic came during the first start", matched: []string{"a2"}, want: []string{"a2"}},
		{name: "nothing matched"},
		{name: "an earlier version has committed", matched: []string{"a1", "a2"}, committed: []string{"a1"}, want: []string{"a1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			now := matching(t, "a.*", "a1", "a2")
			g := guardOf(topologyOf(), now, &fakeKafka{}, nil)
			g.cfg.Matched, g.committed = tc.matched, tc.committed
			got, err := g.firstTopics(registry.View{})
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || got[0].Source != "ins" || got[0].Pattern != "a.*" || !slices.Equal(got[0].Topics, topicsOf(tc.want...)) {
				t.Errorf("got %+v, want %v", got, tc.want)
			}
		})
	}
}

func topicsOf(names ...string) (topics []registry.Input) {
	for _, name := range names {
		topics = append(topics, registry.Input{Topic: name, Partitions: 1})
	}
	return topics
}

// The first topics of a source with a record grow only with the pattern.
func TestContinuedTopics(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string][]string{"b.*": {"b1"}, "[abc].*": {"a1", "a2", "b1"}, "c.*": {"b1"}} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			now := matching(t, pattern, "a1", "a2", "b1", "b2", "c1")
			g := guardOf(topologyOf(), now, &fakeKafka{}, nil)
			g.cfg.Matched = []string{"a1", "a2", "b1", "b2"}
			got, err := g.continued(now.Nodes[0], registry.FirstTopics{Source: "ins", Pattern: "b.*", Topics: topicsOf("b1")})
			if err != nil || !slices.Equal(got, topicsOf(want...)) {
				t.Errorf("got %v, %v, want %v", got, err, want)
			}
		})
	}
}

// A record of a newer version of the library is neither misread nor written over.
func TestFirstTopicsOfANewerVersion(t *testing.T) {
	t.Parallel()
	now := matching(t, "a.*", "a1")
	_, err := guardOf(topologyOf(), now, &fakeKafka{}, nil).continued(now.Nodes[0], registry.FirstTopics{Source: "ins", Newer: true})
	if err == nil || !strings.Contains(err.Error(), "source ins was recorded by a newer version of the library") {
		t.Errorf("got %v", err)
	}
}
