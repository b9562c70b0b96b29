package task

import (
	"errors"
	"maps"
	"strings"
	"testing"
)

// The texts were captured from Kafka Streams 4.3.1, TopicPartitionMetadata.encode.
func TestMetadataIsThatOfKafkaStreams(t *testing.T) {
	t.Parallel()
	for text, m := range map[string]metadata{
		"Av//////////": {partitionTime: -1},
		"Av//////////AAAAAQAAAAVzdG9yZQAAAAAAAAAp": {-1, 0, map[string]int64{"store": 41}},
		"AgAAAAAAAAAA": {},
		"AgAAAAAAAAAAAAAAAQAAAAVzdG9yZQAAAAAAAAAq": {0, 0, map[string]int64{"store": 42}},
		"AgAAAYvP5WgA": {partitionTime: 1700000000000},
		"AgAAAYvP5WgAAAAAAQAAAAVzdG9yZQAAAYvP5Wgq": {1700000000000, 0, map[string]int64{"store": 1700000000042}},
	} {
		if got := m.encode(); got != text || m.size() != len(text) {
			t.Errorf("encode(%v) = %s (size %d), want %s", m, got, m.size(), text)
		}
		got, err := decodeMetadata(text)
		if err != nil || got.partitionTime != m.partitionTime || !maps.Equal(got.values, m.values) {
			t.Errorf("decode(%s) = %v, %v, want %v", text, got, err, m)
		}
	}
}

func TestMetadataOfOthers(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"?", "Aw==", "AgAAAAAAAAAAAAAAAQ==", "BAAAAAAAAAAA", strings.Repeat("A", 12), "AgAAAAAAAAAAf////w==", "AvD/////////"} {
		if m, err := decodeMetadata(text); !errors.Is(err, errMetadata) || m.partitionTime != -1 || m.values != nil {
			t.Errorf("decode(%q) = %v, %v, want an error", text, m, err)
		}
	}
	if m, err := decodeMetadata(""); err != nil || m.partitionTime != -1 {
		t.Errorf(`decode("") = %v, %v, want none`, m, err)
	}
	if m, err := decodeMetadata("AQAAAAAAAAAH"); err != nil || m.partitionTime != 7 {
		t.Errorf("decode(version 1) = %v, %v, want partition time 7", m, err)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add("AgAAAYvP5WgAAAAAAQAAAAVzdG9yZQAAAYvP5Wgq")
	f.Add("Av//////////")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := decodeMetadata(text)
		if err != nil {
			return
		}
		again, err := decodeMetadata(m.encode())
		if err != nil || again.partitionTime != m.partitionTime || again.mark != m.mark || !maps.Equal(again.values, m.values) {
			t.Fatalf("%v encoded and decoded is %v, %v", m, again, err)
		}
	})
}

func TestMark(t *testing.T) {
	t.Parallel()
	a, b := MarkOf("cluster", [16]byte{1}), MarkOf("cluster", [16]byte{2})
	mirrored, unknown := MarkOf("mirror", [16]byte{2}), MarkOf("cluster", [16]byte{})
	for _, c := range []struct {
		now  Mark
		text string
		want bool
	}{
		{a, NoTimes(a), false},
		{a, NoTimes(b), true},
		{a, metadata{5, b, map[string]int64{"!": 1, "x": 2}}.encode(), true},
		{mirrored, NoTimes(a), false},
		{a, NoTimes(unknown), false},
		{unknown, NoTimes(a), false},
		{a, "", false},
		{a, "set by a tool", false},
	} {
		if got := c.now.Outdates(c.text); got != c.want {
			t.Errorf("%d.Outdates(%q) = %v, want %v", c.now, c.text, got, c.want)
		}
	}
	all := metadata{5, a, map[string]int64{"x": 2}}
	text := all.encode()
	if got, err := decodeMetadata(text); err != nil || got.mark != a || !maps.Equal(got.values, all.values) || len(text) != all.size() {
		t.Errorf("decode(%s) = %v, %v, want %v of size %d", text, got, err, all, all.size())
	}
}

func TestNewestMetadata(t *testing.T) {
	t.Parallel()
	newer := map[string]int64{"w": 5, sequenceName: 2}
	older := map[string]int64{"w": 9, "x": 1, sequenceName: 1}
	for _, all := range [][]map[string]int64{{newer, older}, {older, nil, newer}} {
		if got := newest(all); !maps.Equal(got, newer) {
			t.Errorf("newest(%v) = %v, want %v", all, got, newer)
		}
	}
	java := []map[string]int64{{"a": 1, "b": 4}, {"a": 3}}
	if got := newest(java); !maps.Equal(got, map[string]int64{"a": 3, "b": 4}) {
		t.Errorf("without numbers: %v, want the larger values", got)
	}
}
