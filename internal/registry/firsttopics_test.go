package registry

import "testing"

// A partition was there if its topic was, with as many partitions. A topic that was
// created again was not. An unknown ID is equal to every other.
func TestFirstTopicsHas(t *testing.T) {
	t.Parallel()
	f := FirstTopics{Topics: []Input{{Topic: "a", ID: TopicID{1}, Partitions: 2}, {Topic: "b", Partitions: 1}}}
	for _, tc := range []struct {
		topic     string
		id        TopicID
		partition int32
		want      bool
	}{
		{"a", TopicID{1}, 0, true},
		{"a", TopicID{1}, 1, true},
		{"a", TopicID{1}, 2, false},
		{"a", TopicID{2}, 0, false},
		{"a", TopicID{}, 1, true},
		{"b", TopicID{2}, 0, true},
		{"c", TopicID{1}, 0, false},
	} {
		if got := f.Has(tc.topic, tc.id, tc.partition); got != tc.want {
			t.Errorf("%s/%d of %v: got %v", tc.topic, tc.partition, tc.id, got)
		}
	}
}

// A write that was taken back leaves the first topics as they were.
func TestUndoOfFirstTopics(t *testing.T) {
	t.Parallel()
	was := FirstTopics{Source: "changed", Pattern: "a"}
	before := View{firsts: map[string]FirstTopics{"changed": was}}
	undo := Changes{FirstTopics: []FirstTopics{{Source: "changed", Pattern: "b"}, {Source: "new", Pattern: "c"}}}.Undo(before)
	if len(undo.FirstTopics) != 1 || undo.FirstTopics[0].Pattern != "a" || len(undo.Forget) != 1 || undo.Forget[0] != "pattern/new" {
		t.Errorf("got %+v", undo)
	}
}
