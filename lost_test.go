package millrace_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// direct counts the keys of topics in one sub-topology.
func direct(t testing.TB, from ...string) *topology.Topology {
	return directWith(t, nil, from...)
}

func directWith(t testing.TB, opts []topology.SourceOption, from ...string) *topology.Topology {
	b := topology.New()
	in := topology.Sources(b, from, serde.String, serde.String, opts...)
	counts := topology.GroupByKey(in, "by-key").Count("counts", topology.EveryUpdate())
	topology.MapValues(counts.Stream(), func(n int64) string { return fmt.Sprint(n) }, serde.String).To("out")
	return build(t, b)
}

// lossConfig is for clusters on the virtual network, where waiting takes no time.
func (c *cluster) lossConfig(dir string, g millrace.Guarantee) millrace.Config {
	cfg := c.config("app", dir)
	cfg.Guarantee = g
	cfg.SessionTimeout = 10 * time.Second
	return cfg
}

// lose deletes committed offsets of a group, as their expiry does. It also deletes the
// records of where tasks were stopped, as if the processes had been killed.
func (c *cluster) lose(topics ...string) {
	c.t.Helper()
	c.deleteOffsets(topics...)
	c.forget("stop", topics...)
}

// forget deletes records of one kind from the application's registry.
func (c *cluster) forget(kind string, topics ...string) {
	c.t.Helper()
	for _, topic := range topics {
		for p := range 4 {
			c.register(fmt.Sprintf("%s/%s/%d", kind, topic, p), nil)
		}
	}
}

// register writes a record into the application's registry.
func (c *cluster) register(key string, value []byte) {
	c.t.Helper()
	record := &kgo.Record{Topic: "app-stores-registry", Key: []byte(key), Value: value}
	if err := c.cl.ProduceSync(context.Background(), record).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// deleteOffsets deletes committed offsets of a group, as their expiry does.
func (c *cluster) deleteOffsets(topics ...string) {
	c.t.Helper()
	for _, topic := range topics {
		for p := range int32(4) {
			c.deleteOffset(topic, p)
		}
	}
}

func (c *cluster) deleteOffset(topic string, partition int32) {
	c.t.Helper()
	var set kadm.TopicsSet
	set.Add(topic, partition)
	if _, err := kadm.NewClient(c.cl).DeleteOffsets(context.Background(), "app", set); err != nil {
		c.t.Fatal(err)
	}
	if at := c.committed("app", topic, partition); at >= 0 {
		c.t.Fatalf("%s/%d still has offset %d", topic, partition, at)
	}
}

// losePartition is lose for one partition.
func (c *cluster) losePartition(topic string, partition int32) {
	c.t.Helper()
	c.deleteOffset(topic, partition)
	c.register(fmt.Sprintf("stop/%s/%d", topic, partition), nil)
}

// recreate deletes a topic and makes it again.
func (c *cluster) recreate(topic string, partitions int32) {
	c.t.Helper()
	admin := kadm.NewClient(c.cl)
	if _, err := admin.DeleteTopics(context.Background(), topic); err != nil {
		c.t.Fatal(err)
	}
	if _, err := admin.CreateTopics(context.Background(), partitions, 1, nil, topic); err != nil {
		c.t.Fatal(err)
	}
	c.cl.PurgeTopicsFromClient(topic)
}

// counted runs an application until it has sent n results in all, and returns them.
func (c *cluster) counted(topo *topology.Topology, cfg millrace.Config, n int) []string {
	c.t.Helper()
	app := run(c.t, topo, cfg)
	got := c.read("out", n)
	app.stop()
	return got
}

// refused runs an application that must not start, and returns its error.
func (c *cluster) refused(topo *topology.Topology, cfg millrace.Config, words ...string) error {
	c.t.Helper()
	app := run(c.t, topo, cfg)
	err := app.wait()
	if err == nil {
		c.t.Fatal("it was not refused")
	}
	for _, word := range append(words, "reset the application", "--reset-offsets") {
		if !strings.Contains(err.Error(), word) {
			c.t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	return err
}

func guarantees(t *testing.T, test func(t *testing.T, c *cluster, g millrace.Guarantee)) {
	for _, g := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(g.String(), func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) { test(t, c, g) }, kfake.SeedTopics(1, "in", "in2", "out"))
		})
	}
}

// Offsets that expired are found again with the state on disk.
func TestLostOffsetsAreOnTheDisk(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		cfg := c.lossConfig(t.TempDir(), g)
		c.send("in", "a=1", "a=2", "a=3", "a=4")
		c.counted(direct(t, "in"), cfg, 4)
		c.lose("in")
		c.send("in", "a=5")
		if got := c.counted(direct(t, "in"), cfg, 5); !slices.Equal(got, []string{"a=1", "a=2", "a=3", "a=4", "a=5"}) {
			t.Errorf("got %v", got)
		}
		if at := c.committed("app", "in", 0); at != 5 {
			t.Errorf("committed %d", at)
		}
	})
}

// Without the disk, the position of the state is unknown. The start is refused, and each
// choice of LostOffsets works.
func TestLostOffsetsAndDisk(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		cfg := c.lossConfig(t.TempDir(), g)
		c.send("in", "a=1", "a=2", "a=3", "a=4")
		c.counted(direct(t, "in"), cfg, 4)
		c.lose("in")
		cfg.StateDir = t.TempDir()
		c.refused(direct(t, "in"), cfg, "in/0", "Config.LostOffsets", "count records twice")
		c.refused(direct(t, "in"), cfg, "in/0")

		cfg.LostOffsets = millrace.RestartLatest
		app := run(t, direct(t, "in"), cfg)
		eventually(t, "the start is committed", func() bool { return c.committed("app", "in", 0) >= 0 })
		c.send("in", "a=5")
		if got := c.read("out", 5); !slices.Equal(got[4:], []string{"a=5"}) {
			t.Errorf("latest: got %v", got)
		}
		app.stop()
		c.lose("in")
		cfg.StateDir, cfg.LostOffsets = t.TempDir(), millrace.RestartEarliest
		if got := c.counted(direct(t, "in"), cfg, 10); got[9] != "a=10" {
			t.Errorf("earliest: got %v", got)
		}
		// Offsets that a tool sets are used.
		var to kadm.Offsets
		to.AddOffset("in", 0, 3, -1)
		if err := kadm.NewClient(c.cl).CommitAllOffsets(context.Background(), "app", to); err != nil {
			t.Fatal(err)
		}
		cfg.LostOffsets = millrace.RestartRefused
		if got := c.counted(direct(t, "in"), cfg, 12); got[11] != "a=12" {
			t.Errorf("set by a tool: got %v", got)
		}
	})
}

// A disk that is older than the last commit of another process does not count.
func TestLostOffsetsAndOldDisk(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		old, recent := c.lossConfig(t.TempDir(), g), c.lossConfig(t.TempDir(), g)
		c.send("in", "a=1", "a=2")
		c.counted(direct(t, "in"), old, 2)
		c.send("in", "a=3")
		c.counted(direct(t, "in"), recent, 3)
		c.lose("in")
		c.refused(direct(t, "in"), old, "in/0")
		c.send("in", "a=4")
		if got := c.counted(direct(t, "in"), recent, 4); got[3] != "a=4" {
			t.Errorf("got %v", got)
		}
		// The same holds for a disk that only restored the state and never committed.
		running := newStates()
		old.Hooks = []millrace.Hook{running}
		app := run(t, direct(t, "in"), old)
		running.await(t, millrace.Running)
		app.stop()
		c.lose("in")
		c.send("in", "a=5")
		old.Hooks = nil
		if got := c.counted(direct(t, "in"), old, 5); got[4] != "a=5" {
			t.Errorf("restored only: got %v", got)
		}
	})
}

// One of several inputs loses its offset.
func TestOneOfTwoInputsLosesItsOffset(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		cfg := c.lossConfig(t.TempDir(), g)
		c.send("in", "a=1")
		c.send("in2", "a=2")
		c.counted(direct(t, "in", "in2"), cfg, 2)
		c.lose("in2")
		c.send("in2", "a=3")
		if got := c.counted(direct(t, "in", "in2"), cfg, 3); got[2] != "a=3" {
			t.Errorf("got %v", got)
		}
		c.lose("in2")
		cfg.StateDir = t.TempDir()
		c.refused(direct(t, "in", "in2"), cfg, "in2/0")
	})
}

// A task without stores that sends records to be counted is treated like the others.
func TestLostOffsetsBeforeARepartition(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		topo, _ := counting(t)
		cfg := c.lossConfig(t.TempDir(), g)
		c.send("in", "k=a", "k=a", "k=a", "k=a")
		c.counted(topo, cfg, 4)
		c.lose("in")
		c.refused(topo, cfg, "in/0")
		cfg.LostOffsets = millrace.RestartLatest
		app := run(t, topo, cfg)
		eventually(t, "the start is committed", func() bool { return c.committed("app", "in", 0) == 4 })
		app.stop()
		// The repartition topic's offset is found on the disk.
		cfg.LostOffsets = millrace.RestartRefused
		c.lose("app-by-value-repartition")
		c.send("in", "k=a")
		if got := c.counted(topo, cfg, 5); got[4] != "a=5" {
			t.Errorf("got %v", got)
		}
	})
}

// An input topic that was made again has other records under the same offsets.
func TestRecreatedInput(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		cfg := c.lossConfig(t.TempDir(), g)
		c.send("in", "a=1", "a=2")
		c.counted(direct(t, "in"), cfg, 2)
		c.recreate("in", 1)
		c.send("in", "a=3")
		c.refused(direct(t, "in"), cfg, "in/0", "Config.RecreatedInputs", "created again")
		cfg.RecreatedInputs = millrace.RestartEarliest
		if got := c.counted(direct(t, "in"), cfg, 3); got[2] != "a=3" {
			t.Errorf("got %v", got)
		}
		// From now on the new topic is the known one.
		cfg.RecreatedInputs = millrace.RestartRefused
		c.send("in", "a=4")
		if got := c.counted(direct(t, "in"), cfg, 4); got[3] != "a=4" {
			t.Errorf("got %v", got)
		}
		c.recreate("in", 1)
		cfg.StateDir = t.TempDir()
		c.refused(direct(t, "in"), cfg, "created again")
	})
}

// Without state, an input whose offset expired begins where its source says.
func TestLostOffsetsWithoutState(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		cfg := c.lossConfig(t.TempDir(), g)
		c.send("in", "a=1")
		c.counted(passthrough(t), cfg, 1)
		c.deleteOffsets("in")
		if got := c.counted(passthrough(t), cfg, 2); !slices.Equal(got, []string{"a=1", "a=1"}) {
			t.Errorf("got %v", got)
		}
		b := topology.New()
		topology.Source(b, "in", serde.String, serde.String, topology.StartAtLatest()).To("out")
		c.deleteOffsets("in")
		app := run(t, build(t, b), cfg)
		eventually(t, "the start is committed", func() bool { return c.committed("app", "in", 0) == 1 })
		app.stop()
	})
}

// If nothing was committed from the state yet, it does not bind.
func TestLostOffsetsOfNothing(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		cfg := c.lossConfig(t.TempDir(), g)
		app := run(t, direct(t, "in"), cfg)
		eventually(t, "the start is committed", func() bool { return c.committed("app", "in", 0) == 0 })
		app.stop()
		c.lose("in")
		c.send("in", "a=1")
		if got := c.counted(direct(t, "in"), cfg, 1); got[0] != "a=1" {
			t.Errorf("got %v", got)
		}
		// A new source is added.
		c.send("in2", "a=2")
		if got := c.counted(direct(t, "in", "in2"), cfg, 2); got[1] != "a=2" {
			t.Errorf("a new source: got %v", got)
		}
	})
}

// An aborted transaction moves the end of a changelog, and proves nothing.
func TestLostOffsetsBehindAnAbort(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		cfg := c.lossConfig(t.TempDir(), millrace.ExactlyOnce)
		app := run(t, direct(t, "in"), cfg)
		eventually(t, "the start is committed", func() bool { return c.committed("app", "in", 0) == 0 })
		app.stop()
		p := c.Client(kgo.TransactionalID("somebody"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := p.ProduceSync(context.Background(), &kgo.Record{Topic: "app-counts-changelog", Key: []byte("a"), Value: make([]byte, 8)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := p.EndTransaction(context.Background(), kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		c.lose("in")
		c.send("in", "a=1")
		if got := c.counted(direct(t, "in"), cfg, 1); got[0] != "a=1" {
			t.Errorf("got %v", got)
		}
	}, kfake.SeedTopics(1, "in", "out"))
}

// A task whose offset was lost waits for the process that has its state.
func TestLostOffsetsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		with, without := c.lossConfig(t.TempDir(), millrace.ExactlyOnce), c.lossConfig(t.TempDir(), millrace.ExactlyOnce)
		c.send("in", "a=1", "a=2")
		c.counted(direct(t, "in"), with, 2)
		c.lose("in")
		c.send("in", "a=3")
		assigned := newStates()
		without.Hooks = []millrace.Hook{assigned}
		early := run(t, direct(t, "in"), without)
		assigned.await(t, millrace.Restoring)
		late := run(t, direct(t, "in"), with)
		if got := c.read("out", 3); got[2] != "a=3" {
			t.Errorf("got %v", got)
		}
		early.stop()
		late.stop()
	}, kfake.SeedTopics(1, "in", "out"))
}
