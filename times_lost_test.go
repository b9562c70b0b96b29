package millrace_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// windowed counts the keys of topics in windows of ten seconds, with several operators
// that do the same. The results of the first one go to topic out.
func windowed(t testing.TB, operators int, opts []topology.WindowedTableOption, from ...string) *topology.Topology {
	b := topology.New()
	in := topology.Sources(b, from, serde.String, serde.String)
	grouped := topology.GroupByKey(in, "by-key").Window(topology.Tumbling(10 * time.Second))
	opts = append(opts, topology.EveryUpdate())
	counts := grouped.Count("counts", opts...)
	for i := range operators - 1 {
		grouped.Count(fmt.Sprintf("counts-of-a-further-operator-%02d", i), opts...)
	}
	topology.Map(counts.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
		return processor.NewRecord(fmt.Sprintf("%s@%d", r.Key.Key, r.Key.Window.Start/1000), fmt.Sprint(r.Value), r.Timestamp)
	}, serde.String, serde.String).To("out")
	return build(t, b)
}

// sendKey produces one record with a key and a timestamp.
func (c *cluster) sendKey(topic, key string, at time.Duration) {
	c.t.Helper()
	record := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte("v"), Timestamp: time.UnixMilli(at.Milliseconds())}
	if err := c.cl.ProduceSync(context.Background(), record).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// reset commits the present offset of a topic again, as a tool does that knows nothing of
// metadata.
func (c *cluster) reset(topic string) {
	c.t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, c.committed("app", topic, 0), -1)
	if err := kadm.NewClient(c.cl).CommitAllOffsets(context.Background(), "app", offsets); err != nil {
		c.t.Fatal(err)
	}
}

// TestStreamTimeWithoutMetadata sets offsets with a tool, which leaves out the metadata
// that carry stream time. Windows that were closed stay closed: the rows, or the disk,
// show how far stream time had come.
func TestStreamTimeWithoutMetadata(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reset    []string
		keepDisk bool
	}{
		"all offsets, disk lost":       {reset: []string{"in", "in2"}},
		"all offsets, disk kept":       {reset: []string{"in", "in2"}, keepDisk: true},
		"the newest offset, disk lost": {reset: []string{"in2"}},
		"the newest offset, disk kept": {reset: []string{"in2"}, keepDisk: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) { closedStayClosed(t, c, g, tc.reset, tc.keepDisk) })
		})
	}
}

func closedStayClosed(t *testing.T, c *cluster, g millrace.Guarantee, reset []string, keepDisk bool) {
	topo := func() *topology.Topology { return windowed(t, 1, nil, "in", "in2") }
	dir := t.TempDir()
	c.sendKey("in", "a", 1*time.Second)
	c.counted(topo(), c.lossConfig(dir, g), 1)
	c.sendKey("in2", "a", 25*time.Second)
	c.counted(topo(), c.lossConfig(dir, g), 2)
	for _, topic := range reset {
		c.reset(topic)
	}
	if !keepDisk {
		dir = t.TempDir()
	}
	c.sendKey("in", "a", 2*time.Second) // stream time is 25 s
	c.sendKey("in", "a", 26*time.Second)
	want := []string{"a@0=1", "a@20=1", "a@20=2"}
	if got := c.counted(topo(), c.lossConfig(dir, g), len(want)); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestStreamTimeInAChangelogWithoutMetadata is TestStreamTimeWithoutMetadata for so many
// operators that their times are in a changelog, and for stores without rows.
func TestStreamTimeInAChangelogWithoutMetadata(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		topo := func() *topology.Topology {
			return windowed(t, 60, []topology.WindowedTableOption{topology.WithoutChangelog(), topology.InMemory()}, "in")
		}
		c.sendKey("in", "a", time.Second)
		c.sendKey("in", "a", 25*time.Second)
		c.counted(topo(), c.lossConfig(t.TempDir(), g), 2)
		c.reset("in")
		c.sendKey("in", "a", 2*time.Second) // stream time is 25 s
		c.sendKey("in", "a", 26*time.Second)
		want := []string{"a@0=1", "a@20=1", "a@20=1"} // the rows are lost
		if got := c.counted(topo(), c.lossConfig(t.TempDir(), g), len(want)); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
