package millrace_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// curious is a hook that calls every method of an App. It ends the run in the hook that
// end names.
type curious struct {
	end    string
	cancel context.CancelFunc
	app    *millrace.App
	table  topology.Table[string, int64]

	mu     sync.Mutex
	called []string
	slow   time.Duration // the longest call of anything but Snapshot
	errs   []error
}

func (c *curious) call(hook string) {
	began := time.Now()
	_, _, err := millrace.Get(context.Background(), c.app, c.table, "x")
	if err != nil && !errors.Is(err, millrace.ErrNotHere) {
		c.fail(err)
	}
	for range millrace.Range(context.Background(), c.app, c.table, nil, nil) {
	}
	_, _ = millrace.Ages(c.app, c.table)
	c.app.State()
	c.app.Live()
	c.app.Ready()
	if err := c.app.Run(context.Background()); !errors.Is(err, millrace.ErrRunTwice) {
		c.fail(err)
	}
	took := time.Since(began)
	c.app.Snapshot()
	c.mu.Lock()
	c.called, c.slow = append(c.called, hook), max(c.slow, took)
	c.mu.Unlock()
	if hook == c.end {
		c.cancel()
	}
}

func (c *curious) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

func (c *curious) has(hook string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.called, hook)
}

func (c *curious) OnStateChange(_, to millrace.State)         { c.call("state " + to.String()) }
func (c *curious) OnRebalance(millrace.Rebalance)             { c.call("rebalance") }
func (c *curious) OnRestoreProgress(millrace.RestoreProgress) { c.call("restore") }
func (c *curious) OnCommit(millrace.Commit)                   { c.call("commit") }
func (c *curious) OnError(*processor.Error, processor.Action) { c.call("error") }
func (c *curious) OnDropped(millrace.Dropped)                 { c.call("dropped") }
func (c *curious) OnReachability(millrace.Reachability)       { c.call("reach") }
func (c *curious) OnTableRetention(millrace.TableRetention)   { c.call("retention") }

// A hook may call every method of the App and end Run's context, in each of its methods.
// No call blocks forever.
func TestHooksMayCallTheApp(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"state starting", "retention", "state restoring", "state running", "rebalance", "restore", "commit", "error", "dropped", ""} {
		t.Run("ends in "+end, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				b := topology.New()
				in := topology.Source(b, "in", serde.String, serde.String)
				in.TryFilter(func(v string) (bool, error) {
					if v == "bad" {
						return false, errors.New("bad")
					}
					return true, nil
				}).To("out")
				table := topology.GroupByKey(in, "by-key").Count("counts")
				topology.SourceTable(b, "rows", serde.String, serde.String)
				topo := build(t, b)
				dir := t.TempDir()
				// The next run then has something to restore.
				seed := run(t, topo, c.config("app", dir))
				c.send("in", "x=good")
				c.read("out", 1)
				seed.stop()

				hook := &curious{end: end, table: table}
				cfg := c.config("app", t.TempDir())
				cfg.Errors = processor.ErrorPolicy{Process: processor.Skip}
				cfg.Hooks = []millrace.Hook{hook}
				app, err := millrace.New(topo, cfg)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				hook.app, hook.cancel = app, cancel
				done := make(chan error, 1)
				go func() { done <- app.Run(ctx) }()
				c.send("in", "x=bad", "x=good")
				if end == "" {
					c.read("out", 2)
					cancel()
				}
				began := time.Now()
				if err := <-done; err != nil {
					t.Errorf("Run: %v", err)
				}
				if took := time.Since(began); took > cfg.CloseTimeout/2 {
					t.Errorf("Run took %v to end", took)
				}
				if len(hook.errs) > 0 || hook.slow > 0 {
					t.Errorf("queries took %v, errors %v", hook.slow, hook.errs)
				}
				for _, name := range []string{"retention", "state running", "rebalance", "restore", "commit", "error", "dropped", "state closed"} {
					if end == "" && !hook.has(name) {
						t.Errorf("the hook %q was never called", name)
					}
				}
			}, kfake.SeedTopics(1, "in", "out", "rows"))
		})
	}
}
