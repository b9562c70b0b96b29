package millrace_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/batch"
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

// reset commits the current offset of a topic again, without metadata, as a tool does.
func (c *cluster) reset(topic string) {
	c.t.Helper()
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, c.committed("app", topic, 0), -1)
	if err := kadm.NewClient(c.cl).CommitAllOffsets(context.Background(), "app", offsets); err != nil {
		c.t.Fatal(err)
	}
}

// TestStreamTimeWithoutMetadata kills the processes, and then sets offsets with a tool,
// which omits the metadata with the stream time. Closed windows stay closed: the rows, or
// the disk, show the last stream time.
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
		c.forget("stop", topic)
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
		c.forget("stop", "in")
		c.sendKey("in", "a", 2*time.Second) // stream time is 25 s
		c.sendKey("in", "a", 26*time.Second)
		want := []string{"a@0=1", "a@20=1", "a@20=1"} // the rows are lost
		if got := c.counted(topo(), c.lossConfig(t.TempDir(), g), len(want)); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// TestPartitionTimeWithoutMetadata sets an offset with a tool. The partition time, which
// stands in for an invalid timestamp, is known from the stop record, or from the disk
// after a kill. Otherwise the log says that it was lost.
func TestPartitionTimeWithoutMetadata(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ killed, keepDisk bool }{
		"stopped, disk lost": {},
		"stopped, disk kept": {keepDisk: true},
		"killed, disk kept":  {killed: true, keepDisk: true},
		"killed, disk lost":  {killed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
				partitionTimeIsKept(t, c, g, tc.killed, tc.keepDisk)
			})
		})
	}
}

func partitionTimeIsKept(t *testing.T, c *cluster, g millrace.Guarantee, killed, keepDisk bool) {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String, topology.TimestampFrom(validOrPartitionTime))
	in.To("out")
	topology.GroupByKey(in, "by-key").Count("counts")
	cfg := c.lossConfig(t.TempDir(), g)
	c.send("in", "a=25000", "a=1000")
	c.counted(build(t, b), cfg, 2)
	c.reset("in")
	if killed {
		c.forget("stop", "in")
	}
	if !keepDisk {
		cfg.StateDir = t.TempDir()
	}
	var log bytes.Buffer
	cfg.Logger = logTo(&log)
	// The process that starts first dies before it commits.
	c.idle(build(t, b), cfg)
	if killed {
		c.forget("stop", "in")
	}
	c.send("in", "a=none")
	c.counted(build(t, b), cfg, 3)
	want := int64(25_000)
	if killed && !keepDisk {
		want = 7
	}
	if got := c.records("out")[2].Timestamp.UnixMilli(); got != want {
		t.Errorf("the record has the timestamp %d ms, want %d", got, want)
	}
	if told := strings.Contains(log.String(), "partition time is unknown"); told != (killed && !keepDisk) {
		t.Errorf("killed %v, disk kept %v: the log says that the partition time is unknown: %v\n%s", killed, keepDisk, told, &log)
	}
}

// validOrPartitionTime takes the timestamp from a value, or else the partition time; 7 ms
// if there is none.
func validOrPartitionTime(r processor.Record[string, string], partitionTime processor.Timestamp) (processor.Timestamp, error) {
	if ms, err := strconv.ParseInt(r.Value, 10, 64); err == nil {
		return processor.Timestamp(ms), nil
	}
	return max(partitionTime, 7), nil
}

// TestOpenBatchWithoutMetadata sets an offset with a tool while a batch is open, and
// starts again after its end. The batch has its result: the stop record knows that it was
// open.
func TestOpenBatchWithoutMetadata(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		b := topology.New()
		every := batch.Every(topology.Source(b, "in", serde.String, serde.String), "every", time.Minute)
		batch.CountByValue(every, "by-value").To("out")
		cfg := c.lossConfig(t.TempDir(), g)
		c.send("in", "k=a", "k=a", "k=b")
		app := run(t, build(t, b), cfg)
		eventually(t, "the records are committed", func() bool { return c.committed("app", "in", 0) == 3 })
		app.stop()
		c.reset("in")
		cfg.StateDir = t.TempDir()
		<-time.After(10 * time.Minute) // on the virtual clock
		app = run(t, build(t, b), cfg)
		eventually(t, "the batch has its result", func() bool { return len(c.records("out")) >= 2 })
		app.stop()
		if got := c.total("out"); got != 3 {
			t.Errorf("%d records are in the results, want 3", got)
		}
	})
}
