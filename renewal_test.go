package millrace_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
)

// onState calls f when the application goes to a state for the nth time.
type onState struct {
	state millrace.State
	nth   int
	f     func()
}

func (o *onState) OnStateChange(_, to millrace.State) {
	if to != o.state {
		return
	}
	if o.nth--; o.nth == 0 {
		o.f()
	}
}

// The context ends while the application starts again with another topic. Its partitions
// go to the other process at once, as after any other end.
func TestEndOfARenewalLeavesTheGroup(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		topo := copying(t)
		cfg := c.config("app", t.TempDir())
		again := make(chan struct{})
		hook := &onState{state: millrace.Starting, nth: 2, f: func() { close(again) }}
		cfg.Hooks = []millrace.Hook{hook}
		app, err := millrace.New(topo, cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		hook.f = cancel
		ended := make(chan error, 1)
		go func() { ended <- app.Run(ctx) }()
		stays := run(t, topo, c.config("app", t.TempDir()))
		c.send("in-1", values(0, 10)...)
		c.read("out", 10)
		eventually(t, "both have tasks", func() bool { return len(app.Snapshot().Tasks) == 1 && len(stays.Snapshot().Tasks) == 1 })
		c.create("in-2", 2)
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		left := time.Now()
		eventually(t, "the other process has all tasks", func() bool { return len(stays.Snapshot().Tasks) == 2 })
		if took := time.Since(left); took > 30*time.Second {
			t.Errorf("after %v", took)
		}
		stays.stop()
	}, kfake.SeedTopics(2, "in-1", "out"))
}

// A run that continues another one has reached its brokers.
func TestRenewalKeepsWhatWasReached(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		cfg := c.config("app", t.TempDir())
		hook := &onState{state: millrace.Starting, nth: 2}
		cfg.Hooks = []millrace.Hook{hook}
		cfg.CloseTimeout = 10 * time.Second
		hook.f = func() { c.Close() }
		app := run(t, copying(t), cfg)
		c.send("in-1", values(0, 10)...)
		c.read("out", 10)
		c.create("in-2", 2)
		app.keepsTrying(time.Minute)
		if state := app.State(); state != millrace.Unreachable {
			t.Errorf("state %v", state)
		}
		app.cancel()
		if err := app.wait(); err != nil {
			t.Errorf("Run: %v", err)
		}
	}, kfake.SeedTopics(2, "in-1", "out"))
}
