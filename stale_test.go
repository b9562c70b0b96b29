package millrace_test

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
)

// A process restores state and never commits to it. The state is as old as its restoring:
// if later deletions may be gone from the changelog, it is wiped.
func TestRestoredStateGetsOld(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	topo, _ := counting(t)
	busy, idle := c.config("app", t.TempDir()), c.config("app", t.TempDir())
	app := run(t, topo, busy)
	c.send("in", values(0, 30)...)
	c.read("out", 30)
	app.stop()

	wiped, running := &wipes{}, newStates()
	idle.Hooks = []millrace.Hook{wiped, running}
	app = run(t, topo, idle)
	running.await(t, millrace.Running)
	app.stop()

	c.expireDeletions("app-counts-changelog")
	app = run(t, topo, busy)
	c.send("in", values(30, 30)...)
	c.read("out", 60)
	app.stop()

	if wiped.n.Load() != 0 {
		t.Fatal("wiped too early")
	}
	app = run(t, topo, idle)
	c.send("in", values(60, 30)...)
	checkCounts(t, c.read("out", 90))
	app.stop()
	if wiped.n.Load() == 0 {
		t.Error("state that is too old was kept")
	}
}

// State that has read its whole changelog is not wiped, however old it is. The marker of
// its last commit is not a deletion.
func TestOldStateAtTheEndIsKept(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	topo, _ := counting(t)
	wiped := &wipes{}
	cfg := c.config("app", t.TempDir())
	cfg.Hooks = []millrace.Hook{wiped}
	app := run(t, topo, cfg)
	c.send("in", values(0, 30)...)
	c.read("out", 30)
	app.stop()
	c.expireDeletions("app-counts-changelog")
	app = run(t, topo, cfg)
	c.send("in", values(30, 30)...)
	checkCounts(t, c.read("out", 60))
	app.stop()
	if wiped.n.Load() != 0 {
		t.Error("wiped")
	}
}

// expireDeletions makes a compacted topic keep deletions for a millisecond.
func (c *cluster) expireDeletions(topic string) {
	c.t.Helper()
	c.alter(topic, "delete.retention.ms", "1")
}

// alter changes a setting of a topic.
func (c *cluster) alter(topic, name, value string) {
	c.t.Helper()
	alter := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: name, Value: &value}}
	if _, err := kadm.NewClient(c.cl).AlterTopicConfigs(context.Background(), alter, topic); err != nil {
		c.t.Fatal(err)
	}
}
