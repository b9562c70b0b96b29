package millrace_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// The first start may die at any point before the first commit: before the commit of the
// start, or between that commit and its record. This is not a loss.
func TestFirstStartThatDiedMidway(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		topo, _ := counting(t)
		cfg := c.lossConfig(t.TempDir(), g)
		c.idle(topo, cfg)
		c.forget("start", "in", byValue)
		c.forget("stop", "in", byValue)
		c.idle(topo, cfg)
		c.forget("start", "in", byValue)
		c.lose("in", byValue)
		c.idle(topo, cfg)
		c.lose("in", byValue)
		c.send("in", "k=a")
		c.countedTo(topo, cfg, "a=1", 1)
	})
}

// A first transaction that is aborted leaves changelogs with markers only, and the
// offsets of the start.
func TestFirstTransactionThatIsAborted(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		topo, _ := counting(t)
		cfg := c.lossConfig(t.TempDir(), millrace.ExactlyOnce)
		remove := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration, Count: -1})
		c.send("in", "k=a")
		app := run(t, topo, cfg)
		eventually(t, "a transaction was aborted", func() bool { return app.Snapshot().Aborts > 0 })
		app.cancel()
		_ = app.wait()
		remove.Remove()
		c.countedTo(topo, cfg, "a=1", 1)
	}, kfake.SeedTopics(1, "in", "out"))
}

// Under at-least-once, a process may die after its records are written and before its
// offsets are committed. The records are processed again, as the guarantee says.
func TestDiedBetweenFlushAndCommit(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		cfg := c.lossConfig(t.TempDir(), millrace.AtLeastOnce)
		c.idle(direct(t, "in"), cfg)
		commits := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.IllegalGeneration, Count: -1})
		app := run(t, direct(t, "in"), cfg)
		c.send("in", "a=1")
		c.read("out", 1)
		app.cancel()
		_ = app.wait()
		commits.Remove()
		if at := c.committed("app", "in", 0); at != 0 {
			t.Fatalf("committed %d, want the start alone", at)
		}
		cfg.StateDir = t.TempDir()
		c.counted(direct(t, "in"), cfg, 2)
	}, kfake.SeedTopics(1, "in", "out"))
}

// A new part of the topology has no offsets, while another part has state.
func TestNewSubTopologyIsNoLoss(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		cfg := c.lossConfig(t.TempDir(), g)
		c.send("in", "a=1")
		c.counted(direct(t, "in"), cfg, 1)
		b := topology.New()
		for _, topic := range []string{"in", "in2"} {
			in := topology.Source(b, topic, serde.String, serde.String)
			store := map[string]string{"in": "counts", "in2": "others"}[topic]
			counts := topology.GroupByKey(in, "by-key-"+topic).Count(store, topology.EveryUpdate())
			topology.MapValues(counts.Stream(), func(int64) string { return topic }, serde.String).To("out")
		}
		c.send("in2", "b=1")
		if got := c.counted(build(t, b), cfg, 2); got[1] != "b=in2" {
			t.Errorf("got %v", got)
		}
	})
}

// An earlier version of the library kept no offsets with the state, and wrote no start
// records. Its disk is used as before. If the offsets are lost too, nothing has them.
func TestDiskWithoutOffsets(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		cfg := c.lossConfig(t.TempDir(), g)
		c.send("in", "a=1")
		c.counted(direct(t, "in"), cfg, 1)
		older := func() {
			dropProgress(t, cfg.StateDir)
			if _, err := kadm.NewClient(c.cl).DeleteTopics(context.Background(), "app-stores-registry"); err != nil {
				t.Fatal(err)
			}
		}
		older()
		c.send("in", "a=2")
		c.countedTo(direct(t, "in"), cfg, "a=2", 2)
		older()
		c.deleteOffsets("in")
		c.refused(direct(t, "in"), cfg, "in/0")
		cfg.LostOffsets = millrace.RestartLatest
		c.idle(direct(t, "in"), cfg)
		cfg.LostOffsets = millrace.RestartRefused
		c.send("in", "a=3")
		c.countedTo(direct(t, "in"), cfg, "a=3", 3)
	})
}

// dropProgress removes the offsets from the databases of a state directory.
func dropProgress(t *testing.T, dir string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "app", "tasks", "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no databases in %s: %v", dir, err)
	}
	for _, path := range paths {
		db, err := pebble.Open(path, &pebble.Options{FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
		if err != nil {
			t.Fatal(err)
		}
		key := []byte{0, 0, 0, 0, 'r'}
		if _, closer, err := db.Get(key); err != nil {
			t.Fatalf("%s has no offsets: %v", path, err)
		} else {
			closer.Close()
		}
		if err := db.Delete(key, pebble.Sync); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(string, ...any) {}

// A task is given to a process without its disk. It continues at the offsets that the
// process with the disk has published. The changelogs prove that these offsets fit.
func TestAnotherProcessHasTheDisk(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		with, without := c.lossConfig(t.TempDir(), g), c.lossConfig(t.TempDir(), g)
		c.send("in", "a=1", "a=2")
		c.counted(direct(t, "in"), with, 2)
		c.lose("in")
		c.send("in", "a=3")
		// The process with the disk never gets into the group.
		joins := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.CoordinatorNotAvailable, Count: -1})
		app := run(t, direct(t, "in"), with)
		eventually(t, "the disk is published", func() bool {
			return slices.ContainsFunc(c.records("app-stores-registry"), func(r *kgo.Record) bool { return strings.HasPrefix(string(r.Key), "disk/") })
		})
		app.cancel()
		_ = app.wait()
		joins.Remove()
		if got := c.counted(direct(t, "in"), without, 3); !slices.Equal(got, []string{"a=1", "a=2", "a=3"}) {
			t.Errorf("got %v", got)
		}
	})
}

// The decision about a topic that was created again is logged.
func TestRecreatedInputIsLogged(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		cfg := c.lossConfig(t.TempDir(), millrace.ExactlyOnce)
		c.send("in", "a=1", "a=2")
		c.counted(direct(t, "in"), cfg, 2)
		c.recreate("in", 1)
		c.send("in", "a=3")
		var log bytes.Buffer
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg.RecreatedInputs = millrace.RestartEarliest
		c.countedTo(direct(t, "in"), cfg, "a=3", 3)
		if !strings.Contains(log.String(), "deleted and created again") || !strings.Contains(log.String(), "topic=in") {
			t.Errorf("the log does not say that the topic was created again:\n%s", &log)
		}
	}, kfake.SeedTopics(1, "in", "out"))
}

// When the start is committed, the group may revoke the task, or may not know the member
// yet. This is not a failure: the start is committed when the group has settled.
func TestStartCommitMeetsARebalance(t *testing.T) {
	t.Parallel()
	for _, refusal := range []*kerr.Error{kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.FencedInstanceID, kerr.NotCoordinator} {
		t.Run(refusal.Message, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: refusal, Count: 2})
				c.send("in", "a=1")
				c.countedTo(direct(t, "in"), c.lossConfig(t.TempDir(), millrace.ExactlyOnce), "a=1", 1)
			}, kfake.SeedTopics(1, "in", "out"))
		})
	}
}

// An input that was created again before a record of it was ever read has left nothing
// behind. It starts like a new one, even if the group still has the offset of its start.
func TestRecreatedInputWithoutRecords(t *testing.T) {
	t.Parallel()
	guarantees(t, func(t *testing.T, c *cluster, g millrace.Guarantee) {
		cfg := c.lossConfig(t.TempDir(), g)
		c.idle(direct(t, "in"), cfg)
		c.recreate("in", 1)
		c.send("in", "a=1", "a=2")
		if got := c.counted(direct(t, "in"), cfg, 2); !slices.Equal(got, []string{"a=1", "a=2"}) {
			t.Errorf("got %v", got)
		}
	})
}
