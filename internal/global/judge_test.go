package global

import (
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	id, other := [16]byte{1}, [16]byte{2}
	now := time.UnixMilli(1_000_000_000)
	topic := Topic{ID: id, DeleteRetention: time.Hour, Ranges: []Range{{0, 10, 20}, {1, 0, 5}}}
	at := func(id [16]byte, first, second int64) []Position {
		return []Position{{0, first, id, "m"}, {1, second, id, ""}}
	}
	for name, test := range map[string]struct {
		disk []Position
		age  time.Duration
		want []int64
		wipe string
	}{
		"nothing on the disk":          {nil, 0, []int64{10, 0}, ""},
		"up to date, and old":          {at(id, 20, 5), 2 * time.Hour, []int64{20, 5}, ""},
		"behind":                       {at(id, 10, 5), time.Minute, []int64{10, 5}, ""},
		"behind, and as old as may be": {at(id, 20, 4), time.Hour, []int64{20, 4}, ""},
		"behind, and old":              {at(id, 20, 4), time.Hour + 1, []int64{10, 0}, "delete.retention.ms=3600000"},
		"before the start":             {at(id, 9, 5), 0, []int64{10, 0}, "begins at 10"},
		"beyond the end":               {at(id, 20, 6), 0, []int64{10, 0}, "ends at 5: Kafka has lost records"},
		"another topic":                {at(other, 20, 5), 0, []int64{10, 0}, "deleted and created again"},
		"an unknown topic ID":          {at([16]byte{}, 20, 5), 0, []int64{20, 5}, ""},
		"a new partition":              {at(id, 15, 0)[:1], 0, []int64{15, 0}, ""},
		"a partition is gone":          {append(at(id, 15, 0), Position{2, 3, id, ""}), 0, []int64{10, 0}, "no longer has partition 2"},
	} {
		got := Judge(test.disk, now.Add(-test.age), topic, now)
		for i, want := range test.want {
			if p := got.At[i]; p.Offset != want || p.Partition != int32(i) || p.TopicID != id {
				t.Errorf("%s: partition %d at %+v, want %d", name, i, p, want)
			}
		}
		if (got.Wipe == "") != (test.wipe == "") || !strings.Contains(got.Wipe, test.wipe) {
			t.Errorf("%s: wipe %q, want %q", name, got.Wipe, test.wipe)
		}
		if kept := got.At[0].Metadata == "m"; kept != (got.Wipe == "" && test.disk != nil) {
			t.Errorf("%s: metadata kept: %v", name, kept)
		}
	}
}
