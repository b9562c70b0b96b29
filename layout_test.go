package millrace_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// logged collects what an application logs.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) has(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		all := true
		for _, part := range parts {
			all = all && strings.Contains(line, part)
		}
		if all {
			return true
		}
	}
	return false
}

// twoCounts counts "in1" and "in2", each by key, in one task or in two. One more source
// changes the name of the first.
func twoCounts(t *testing.T, together bool, more ...string) (*topology.Topology, topology.Table[string, int64]) {
	b := topology.New()
	in1 := topology.Source(b, "in1", serde.String, serde.String)
	in2 := topology.Source(b, "in2", serde.String, serde.String)
	topology.GroupByKey(in1, "by-key1").Count("counts1")
	counts2 := topology.GroupByKey(in2, "by-key2").Count("counts2")
	out := in1
	if together {
		out = out.Merge(in2)
	}
	for _, topic := range more {
		out = out.Merge(topology.Source(b, topic, serde.String, serde.String))
	}
	out.To("out")
	return build(t, b), counts2
}

// An edit of the topology moves state to another task. The state is removed from the
// database of the old task, and a directory without a task is removed too.
func TestStateThatMovesBetweenTasks(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in1", "in2", "a", "out"))
	dir := t.TempDir()
	counted := int64(0)
	// step runs a version of the topology, sends one record, and returns what it logged.
	step := func(together bool, more ...string) *logged {
		t.Helper()
		log := &logged{}
		cfg := c.config("app", dir)
		cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
		topo, counts2 := twoCounts(t, together, more...)
		app := run(t, topo, cfg)
		c.send("in2", "k=v")
		counted++
		eventually(t, "it counts on", func() bool {
			n, _, err := millrace.Get(t.Context(), app.App, counts2, "k")
			return err == nil && n == counted
		})
		app.stop()
		return log
	}
	dirs := func() int {
		t.Helper()
		entries, err := os.ReadDir(filepath.Join(dir, "app", "tasks"))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	const dropped, removed = "removing a store's local state", "removing the state of a task"
	if log := step(true); log.has(dropped) || log.has(removed) {
		t.Error("something was removed at the first start")
	}
	if log := step(false); !log.has(dropped, "store=counts2", "reason=") || log.has("store=counts1", "reason=") {
		t.Error("counts2 was left in the database of the first task, or counts1 was not")
	}
	if n := dirs(); n != 2 {
		t.Errorf("%d directories of tasks, want 2", n)
	}
	if log := step(true); !log.has(removed, "reason=") {
		t.Error("the directory of the second task was left behind")
	}
	if log := step(true, "a"); !log.has(removed, "reason=") {
		t.Error("the directory of a task with another name was left behind")
	}
	if n := dirs(); n != 1 {
		t.Errorf("%d directories of tasks, want 1", n)
	}
	if log := step(true, "a"); log.has(dropped) || log.has(removed) {
		t.Error("something was removed without a change")
	}
}
