package inputs

import (
	"slices"
	"testing"
)

// Which facts show that records of an input were processed.
func TestProcessed(t *testing.T) {
	t.Parallel()
	p := Partition{"in", 0}
	now, before := TopicID{1}, TopicID{2}
	start := func(id TopicID) map[Partition]Start { return map[Partition]Start{p: {TopicID: id, Run: "r"}} }
	stop := func(at int64, run string) map[Partition]Stop {
		return map[Partition]Stop{p: {Start: Start{TopicID: now, Run: run}, Offset: at}}
	}
	for _, tc := range []struct {
		name   string
		at     Standing
		starts map[Partition]Start
		stops  map[Partition]Stop
		latest bool
		want   bool
	}{
		{name: "never started", at: Standing{End: 9, Committed: -1}},
		{name: "started, nothing processed", at: Standing{End: 9, Metadata: "none"}, starts: start(now)},
		{name: "processed, without a start record", at: Standing{End: 9, Committed: 4, Metadata: "some"}, want: true},
		{name: "processed, with a start record", at: Standing{End: 9, Committed: 4, Metadata: "some"}, starts: start(now), want: true},
		{name: "processed, and the log is empty now", at: Standing{Start: 4, End: 4, Committed: 4, Metadata: "some"}, starts: start(now), want: true},
		{name: "started behind records", at: Standing{End: 9, Committed: 9, Metadata: "none"}, starts: start(now), latest: true},
		{name: "a tool has set the first offset", at: Standing{End: 9, Committed: 4}},
		{name: "a tool has set a later offset", at: Standing{End: 9, Committed: 4}, starts: start(now), want: true},
		{name: "a tool has set the start of the log", at: Standing{Start: 4, End: 9, Committed: 4}, starts: start(now)},
		{name: "the offset was lost", at: Standing{End: 9, Committed: -1}, starts: start(now), want: true},
		{name: "the offset was lost, of an empty topic", at: Standing{Committed: -1}, starts: start(now)},
		{name: "the offset was lost, after a stop", at: Standing{End: 9, Committed: -1}, starts: start(now), stops: stop(4, "r"), want: true},
		{name: "the offset was lost, after a stop at the start", at: Standing{End: 9, Committed: -1}, starts: start(now), stops: stop(0, "r")},
		{name: "the offset was lost, after a stop that does not count", at: Standing{End: 9, Committed: -1}, starts: start(now), stops: stop(0, "q"), want: true},
		{name: "the ID of the topic was unknown", at: Standing{End: 9, Committed: 4, Metadata: "some"}, starts: start(TopicID{}), want: true},
		{name: "the topic was created again", at: Standing{End: 9, Committed: 4, Metadata: "some"}, starts: start(before)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			records := NewRecords("app")
			records.starts, records.stops = tc.starts, tc.stops
			judge := &Processed{
				Records: records, ID: func(string) TopicID { return now },
				Shows: func(metadata string) bool { return metadata == "some" },
				AtEnd: func(string) bool { return tc.latest },
			}
			got := judge.Topics(map[Partition]Standing{p: tc.at})
			if want := []string{"in"}; tc.want != slices.Equal(got, want) || !tc.want && len(got) > 0 {
				t.Errorf("got %v, want it to be processed: %v", got, tc.want)
			}
		})
	}
}

// A topic counts once, and if one of its partitions does.
func TestProcessedTopics(t *testing.T) {
	t.Parallel()
	judge := &Processed{
		Records: NewRecords("app"), ID: func(string) TopicID { return TopicID{} },
		Shows: func(metadata string) bool { return metadata != "" }, AtEnd: func(string) bool { return false },
	}
	got := judge.Topics(map[Partition]Standing{
		{"b", 0}: {Committed: 1, Metadata: "x"}, {"b", 1}: {Committed: 2, Metadata: "x"},
		{"a", 0}: {Committed: -1}, {"a", 1}: {Committed: 1, Metadata: "x"}, {"c", 0}: {Committed: -1},
	})
	if want := []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
