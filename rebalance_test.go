package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
)

// checkCounts fails unless every key's counts are 1, 2, 3, ... in order.
func checkCounts(t *testing.T, got []string) {
	t.Helper()
	last := map[string]int{}
	for _, r := range got {
		key, value, _ := strings.Cut(r, "=")
		if value != fmt.Sprint(last[key]+1) {
			t.Errorf("%s: %s after %d", key, value, last[key])
		}
		last[key]++
	}
}

// values returns n records with a few distinct values and many keys.
func values(from, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("k%d=v%d", from+i, (from+i)%7)
	}
	return out
}

func TestTwoProcessesShareAndTakeOver(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		topo, _ := counting(t)
		first := run(t, topo, c.config("app", t.TempDir()))
		c.send("in", values(0, 50)...)
		c.read("out", 50)
		second := run(t, topo, c.config("app", t.TempDir()))
		c.send("in", values(50, 50)...)
		eventually(t, "both have tasks", func() bool { return len(second.Snapshot().Tasks) == 4 && len(first.Snapshot().Tasks) == 4 })
		c.send("in", values(100, 50)...)
		c.read("out", 150)
		second.stop()
		c.send("in", values(150, 50)...)
		checkCounts(t, c.read("out", 200))
		eventually(t, "the first has all tasks", func() bool { return len(first.Snapshot().Tasks) == 8 })
		first.stop()
	}, kfake.SeedTopics(4, "in", "out"))
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func TestGracefulRestartGoesOn(t *testing.T) {
	t.Parallel()
	for _, onClose := range []millrace.OnClose{millrace.Leave, millrace.Stay} {
		t.Run(fmt.Sprint(onClose), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(2, "in", "out"))
			topo, _ := counting(t)
			cfg := c.config("app", t.TempDir())
			cfg.OnClose = onClose
			wiped := &wipes{}
			cfg.Hooks = []millrace.Hook{wiped}
			for i := range 4 {
				app := run(t, topo, cfg)
				c.send("in", values(20*i, 20)...)
				checkCounts(t, c.read("out", 20*(i+1)))
				app.stop()
				app.cancel() // calling it twice is safe
			}
			if n := wiped.n.Load(); n > 0 {
				t.Errorf("%d stores were wiped", n)
			}
		})
	}
}

type wipes struct{ n atomic.Int64 }

func (w *wipes) OnStateWiped(millrace.StateWiped) { w.n.Add(1) }

func TestLostDiskIsRestored(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(2, "in", "out"))
	topo, table := counting(t)
	for i := range 3 {
		restored := &progress{}
		cfg := c.config("app", t.TempDir())
		cfg.Hooks = []millrace.Hook{restored}
		app := run(t, topo, cfg)
		c.send("in", values(30*i, 30)...)
		checkCounts(t, c.read("out", 30*(i+1)))
		n, ok, err := millrace.Get(context.Background(), app.App, table, "v3")
		if want := int64(c.countOf("v3", 30*(i+1))); err != nil || !ok || n != want {
			t.Errorf("run %d: v3 is %d, %v, %v; want %d", i, n, ok, err, want)
		}
		if restored.done.Load() < 2 {
			t.Errorf("run %d: %d stores restored", i, restored.done.Load())
		}
		app.stop()
	}
}

func (c *cluster) countOf(value string, n int) int {
	count := 0
	for _, r := range values(0, n) {
		if strings.HasSuffix(r, "="+value) {
			count++
		}
	}
	return count
}

type progress struct{ done atomic.Int64 }

func (p *progress) OnRestoreProgress(r millrace.RestoreProgress) {
	if r.Done {
		p.done.Add(1)
	}
}

func TestStateDirectoryInUse(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	dir := t.TempDir()
	running := newStates()
	cfg := c.config("app", dir)
	cfg.Hooks = []millrace.Hook{running}
	app := run(t, passthrough(t), cfg)
	running.await(t, millrace.Running)
	second := run(t, passthrough(t), c.config("app", dir))
	if err := second.wait(); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
	if second.State() != millrace.Failed {
		t.Errorf("state %v", second.State())
	}
	app.stop()
}

func TestCopiedStateDirectory(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	dir, copied := t.TempDir(), t.TempDir()
	running := newStates()
	cfg := c.config("app", dir)
	cfg.Hooks = []millrace.Hook{running}
	app := run(t, passthrough(t), cfg)
	running.await(t, millrace.Running)
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	second := run(t, passthrough(t), c.config("app", copied))
	err := app.wait()
	if err == nil || !strings.Contains(err.Error(), "copy of this state directory") {
		t.Errorf("got %v", err)
	}
	c.send("in", "a=1")
	c.read("out", 1)
	second.stop()
}

func TestUnreachableBrokers(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		cfg := c.config("app", t.TempDir())
		cfg.Brokers = []string{"127.0.0.1:1"}
		app := run(t, passthrough(t), cfg)
		eventually(t, "it has started", func() bool { return app.State() == millrace.Starting })
		app.keepsTrying(time.Minute)
		ending := time.Now()
		app.reachedNobody()
		if took := time.Since(ending); took > time.Second {
			t.Errorf("took %v to close", took)
		}
	})
}

func TestMissingTopics(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	app := run(t, passthrough(t), c.config("app", t.TempDir()))
	err := app.wait()
	if err == nil || !strings.Contains(err.Error(), "reads in") || !strings.Contains(err.Error(), "writes out") {
		t.Fatalf("got %v", err)
	}
	cfg := c.config("app", t.TempDir())
	cfg.WaitForTopics = true
	app = run(t, passthrough(t), cfg)
	for _, topic := range []string{"in", "out"} {
		if err := c.CreateTopic(topic, 2, nil); err != nil {
			t.Fatal(err)
		}
	}
	c.send("in", "a=1")
	if got := c.read("out", 1); !slices.Equal(got, []string{"a=1"}) {
		t.Errorf("got %v", got)
	}
	app.stop()
}

func TestRunTwice(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	app := run(t, passthrough(t), c.config("app", t.TempDir()))
	eventually(t, "it runs", func() bool { return app.State() != millrace.Created })
	if err := app.Run(context.Background()); !errors.Is(err, millrace.ErrRunTwice) {
		t.Errorf("got %v", err)
	}
	app.stop()
}
