package millrace_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/batch"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

const byValue = "app-by-value-repartition"

// An application was stopped in order, and the group has lost all offsets. It continues
// where it was stopped, with its disks or without them. The records pass through a
// repartition topic, so some tasks have no state.
func TestStopOutlivesOffsets(t *testing.T) {
	t.Parallel()
	topo, _ := counting(t)
	for name, topo := range map[string]*topology.Topology{"counts": topo, "windows": windows(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
				cfg := c.lossConfig(t.TempDir(), g)
				c.send("in", "k=a", "k=a", "k=a", "k=a")
				c.counted(topo, cfg, 4)
				c.deleteOffsets("in", byValue)
				c.send("in", "k=a")
				c.countedTo(topo, cfg, "=5", 5)
				c.deleteOffsets("in")
				c.send("in", "k=a")
				cfg.StateDir = t.TempDir()
				c.countedTo(topo, cfg, "=6", 6)
				// Nothing came between a start and the next stop.
				c.idle(topo, cfg)
				c.deleteOffsets("in", byValue)
				c.send("in", "k=a")
				c.countedTo(topo, cfg, "=7", 7)
			})
		})
	}
}

// countedTo is counted, and checks that the last result ends with a text.
func (c *cluster) countedTo(topo *topology.Topology, cfg millrace.Config, last string, n int) {
	c.t.Helper()
	if got := c.counted(topo, cfg, n); !strings.HasSuffix(got[n-1], last) {
		c.t.Errorf("got %v, want the last to end in %s", got, last)
	}
}

// idle runs an application that has nothing to do.
func (c *cluster) idle(topo *topology.Topology, cfg millrace.Config) {
	c.t.Helper()
	running := newStates()
	cfg.Hooks = []millrace.Hook{running}
	app := run(c.t, topo, cfg)
	running.await(c.t, millrace.Running)
	app.stop()
}

// A stop record does not count if the task has run since and did not stop in order.
func TestStopBeforeALaterRun(t *testing.T) {
	t.Parallel()
	topo, _ := counting(t)
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		cfg := c.lossConfig(t.TempDir(), g)
		c.send("in", "k=a")
		c.counted(topo, cfg, 1)
		stop := c.registry("stop/in/0")
		c.send("in", "k=a")
		c.counted(topo, cfg, 2)
		c.deleteOffsets("in")
		c.register("stop/in/0", stop)
		c.refused(topo, cfg, "in/0")
	})
}

// registry returns the last value under a key of the application's registry.
func (c *cluster) registry(key string) (value []byte) {
	c.t.Helper()
	for _, record := range c.records("app-stores-registry") {
		if string(record.Key) == key {
			value = record.Value
		}
	}
	if value == nil {
		c.t.Fatalf("the registry has no %s", key)
	}
	return value
}

// records returns the committed records that a topic with one partition holds now.
func (c *cluster) records(topic string) (got []*kgo.Record) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ends, err := kadm.NewClient(c.cl).ListCommittedOffsets(ctx, topic)
	if err != nil {
		c.t.Fatal(err)
	}
	end, _ := ends.Lookup(topic, 0)
	cl := c.Client(kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	for next := int64(0); next < end.Offset; {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			c.t.Fatalf("topic %s: at offset %d of %d", topic, next, end.Offset)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if next = r.Offset + 1; !r.Attrs.IsControl() {
				got = append(got, r)
			}
		})
	}
	return got
}

// total returns the sum of the counts in a topic.
func (c *cluster) total(topic string) (n int64) {
	c.t.Helper()
	for _, r := range c.records(topic) {
		count, err := serde.Int64.Decode(r.Value)
		if err != nil {
			c.t.Fatal(err)
		}
		n += count
	}
	return n
}

// committedTopics returns the topics of which a group has offsets.
func (c *cluster) committedTopics(group string) []string {
	return slices.Collect(maps.Keys(c.GroupInfo(group).Commits))
}

// The offset of one of two partitions was lost, so only one task is affected.
func TestLostOffsetOfOnePartition(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		cfg := c.lossConfig(t.TempDir(), millrace.ExactlyOnce)
		to := func(p int32) {
			record := &kgo.Record{Topic: "in", Partition: p, Key: fmt.Appendf(nil, "p%d", p), Value: []byte("x"), Timestamp: time.UnixMilli(1000)}
			producer := c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
			if err := producer.ProduceSync(t.Context(), record).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		to(0)
		to(1)
		c.counted(direct(t, "in"), cfg, 2)
		c.losePartition("in", 1)
		to(0)
		to(1)
		got := c.counted(direct(t, "in"), cfg, 4)[2:]
		if slices.Sort(got); !slices.Equal(got, []string{"p0=2", "p1=2"}) {
			t.Errorf("with the disk: got %v", got)
		}
		c.losePartition("in", 1)
		cfg.StateDir = t.TempDir()
		err := c.refused(direct(t, "in"), cfg, "in/1")
		if strings.Contains(err.Error(), "in/0") {
			t.Errorf("the error blames a partition that has its offset: %v", err)
		}
	}, kfake.SeedTopics(2, "in", "out"))
}

// Batches keep records back until they end. The records of an open batch are read again.
func TestLostOffsetsOfBatches(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		b := topology.New()
		every := batch.Every(topology.Source(b, "in", serde.String, serde.String), "every", time.Second)
		batch.CountByValue(every, "by-value").To("out")
		topo := build(t, b)
		cfg := c.lossConfig(t.TempDir(), g)
		c.send("in", "k=a", "k=a", "k=b")
		app := run(t, topo, cfg)
		eventually(t, "the batch is committed", func() bool { return c.committed("app", "in", 0) == 3 })
		c.read("out", 1)
		app.stop()
		before := c.total("out")
		c.deleteOffsets(c.committedTopics("app")...)
		c.idle(topo, cfg)
		c.send("in", "k=a")
		app = run(t, topo, cfg)
		eventually(t, "the batch is committed", func() bool { return c.committed("app", "in", 0) == 4 })
		eventually(t, "the record is in a result", func() bool { return c.total("out") > before })
		app.stop()
		if got := c.total("out"); got != 4 {
			t.Errorf("%d records are in the results, want 4", got)
		}
	})
}
