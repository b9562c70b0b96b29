package millrace_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
)

// diary is a hook that records its calls, and can block them.
type diary struct {
	mu    sync.Mutex
	calls []string

	onRebalance func(millrace.Rebalance)
	onCommit    func(millrace.Commit)
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, fmt.Sprintf(format, args...))
}

func (d *diary) OnStateChange(_, to millrace.State) { d.note("state %v", to) }

func (d *diary) OnRebalance(r millrace.Rebalance) {
	d.note("rebalance +%d -%d", len(r.Assigned), len(r.Revoked))
	if d.onRebalance != nil {
		d.onRebalance(r)
	}
}

func (d *diary) OnRestoreProgress(p millrace.RestoreProgress) { d.note("restore done=%v", p.Done) }

func (d *diary) OnCommit(c millrace.Commit) {
	d.note("commit of %d", c.Records)
	if d.onCommit != nil {
		d.onCommit(c)
	}
}

// inOrder checks that the first calls with these texts came in this order.
func (d *diary) inOrder(t *testing.T, calls ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	at := -1
	for _, call := range calls {
		i := slices.Index(d.calls, call)
		if i <= at {
			t.Errorf("%q is at %d, want it behind %d, in %q", call, i, at, d.calls)
		}
		at = i
	}
}

// Hooks are told about tasks before anything happens to the tasks, and about the end
// last.
func TestOrderOfHooks(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		topo := direct(t, "in")
		// The next run then has something to restore.
		seed := run(t, topo, c.config("app", t.TempDir()))
		c.send("in", "x=1")
		c.read("out", 1)
		seed.stop()

		d := &diary{}
		cfg := c.config("app", t.TempDir())
		cfg.Hooks = []millrace.Hook{d}
		app := run(t, topo, cfg)
		c.send("in", "x=2")
		c.read("out", 2)
		app.stop()
		d.inOrder(t, "state starting", "rebalance +1 -0", "restore done=false", "restore done=true", "commit of 1", "state closing", "rebalance +0 -1", "state closed")
		if last := d.calls[len(d.calls)-1]; last != "state closed" {
			t.Errorf("the last call is %q", last)
		}
	}, kfake.SeedTopics(1, "in", "out"))
}

// OnRebalance blocks the group: a revoked task is not given to another process before the
// hook has returned.
func TestOnRebalanceHoldsUpTheGroup(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		const held = 5 * time.Second
		topo, _ := counting(t)
		revoking, release := make(chan struct{}), make(chan struct{})
		d := &diary{onRebalance: func(r millrace.Rebalance) {
			if len(r.Revoked) > 0 && !r.Lost {
				select {
				case <-revoking: // at the close
				default:
					close(revoking)
					<-release
				}
			}
		}}
		cfg := c.config("app", t.TempDir())
		cfg.Hooks = []millrace.Hook{d}
		stays := run(t, topo, cfg)
		c.send("in", values(0, 10)...)
		c.read("out", 10)

		comes := &assignments{came: make(chan struct{})}
		cfg = c.config("app", t.TempDir())
		cfg.Hooks = []millrace.Hook{comes}
		other := run(t, topo, cfg)
		<-revoking
		select {
		case <-comes.came:
			t.Error("the other process has the task while the hook is still called")
		case <-time.After(held):
		}
		if n := len(other.Snapshot().Tasks); n != 0 {
			t.Errorf("the other process has %d tasks", n)
		}
		close(release)
		select {
		case <-comes.came:
		case <-time.After(patience):
			t.Error("the other process gets no task")
		}
		other.stop()
		stays.stop()
	}, kfake.SeedTopics(2, "in", "out"))
}

// A Snapshot in OnCommit waits 200 ms for the worker that calls the hook. It then omits
// the partitions of this worker's tasks. It has the partitions of the other worker's
// tasks.
func TestSnapshotInAHook(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		var app *millrace.App
		var asked atomic.Bool
		d := &diary{onCommit: func(commit millrace.Commit) {
			if commit.Records == 0 || asked.Swap(true) {
				return
			}
			began := time.Now()
			s := app.Snapshot()
			if took := time.Since(began); took != 200*time.Millisecond {
				t.Errorf("in the hook, Snapshot took %v", took)
			}
			for _, task := range s.Tasks {
				if own := task.Worker == commit.Worker; own != (task.Partitions == nil) {
					t.Errorf("in the hook of worker %d, the task of worker %d has partitions %v", commit.Worker, task.Worker, task.Partitions)
				}
			}
		}}
		cfg := c.config("app", t.TempDir())
		cfg.Workers, cfg.Hooks = 2, []millrace.Hook{d}
		running := runWith(t, direct(t, "in"), cfg, func(a *millrace.App) { app = a })
		eventually(t, "both workers have a task", func() bool { return answering(running.Snapshot()) == 2 })
		c.send("in", "x=1")
		c.read("out", 1)
		running.stop()
		if !asked.Load() {
			t.Error("no commit of records was reported")
		}
	}, kfake.SeedTopics(2, "in", "out"))
}

// answering returns the number of workers that have reported partitions.
func answering(s millrace.Snapshot) int {
	workers := map[int]bool{}
	for _, task := range s.Tasks {
		if task.Partitions != nil {
			workers[task.Worker] = true
		}
	}
	return len(workers)
}
