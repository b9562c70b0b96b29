package millrace_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// ticking passes records on, and counts the calls of a wall-clock punctuator.
type ticking struct{ ticks *atomic.Int64 }

func (p ticking) Init(ctx processor.Context[string, string]) error {
	ctx.Every(time.Second, processor.WallClock, func(processor.Context[string, string], time.Time) error {
		p.ticks.Add(1)
		return nil
	})
	return nil
}

func (p ticking) Process(ctx processor.Context[string, string], r processor.Record[string, string]) error {
	ctx.Forward(r)
	return nil
}

// sendAt produces one record with a timestamp.
func (c *cluster) sendAt(topic, value string, at time.Duration) {
	c.t.Helper()
	record := &kgo.Record{Topic: topic, Value: []byte(value), Timestamp: time.UnixMilli(at.Milliseconds())}
	if err := c.cl.ProduceSync(context.Background(), record).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// With TaskIdle, an older record that arrives late in another topic is processed first.
// While the task waits, punctuators run, work is committed, and closing is not delayed.
func TestTaskIdle(t *testing.T) {
	t.Parallel()
	const idle = time.Minute
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				var ticks atomic.Int64
				b := topology.New()
				both := topology.Sources(b, []string{"first", "second"}, serde.String, serde.String)
				topology.Process(both, "tick", func() *ticking { return &ticking{&ticks} }, serde.String, serde.String).To("out")
				seen := newStates()
				cfg := c.config("app", t.TempDir())
				cfg.Guarantee, cfg.TaskIdle, cfg.Hooks = guarantee, idle, []millrace.Hook{seen}
				app := run(t, build(t, b), cfg)
				seen.await(t, millrace.Running)

				c.sendAt("second", "late", 2*time.Second)
				<-time.After(idle / 2)
				if at := c.committed("app", "second", 0); at > 0 {
					t.Errorf("committed second at %d while first was waited for", at)
				}
				before, sent := ticks.Load(), time.Now()
				c.sendAt("first", "early", time.Second)
				if got := c.read("out", 1); !slices.Equal(got, []string{"=early"}) || time.Since(sent) > time.Second {
					t.Errorf("got %v after %v", got, time.Since(sent))
				}
				if got := c.read("out", 2); !slices.Equal(got, []string{"=early", "=late"}) {
					t.Errorf("got %v", got)
				}
				if took := time.Since(sent); took < idle-time.Second || took > idle+time.Second {
					t.Errorf("waited for %v, want %v", took, idle)
				}
				if n := ticks.Load() - before; n < int64(idle/time.Second)-2 {
					t.Errorf("%d punctuations while the task waited", n)
				}
				c.sendAt("first", "again", time.Second)
				c.read("out", 3)
				c.sendAt("second", "unread", 2*time.Second)
				<-time.After(time.Second)
				stopped := time.Now()
				app.stop()
				if took := time.Since(stopped); took > time.Second {
					t.Errorf("closing took %v", took)
				}
				if at := c.committed("app", "second", 0); at != 1 {
					t.Errorf("second is committed at %d, want 1: its last record was waiting", at)
				}
			}, kfake.SeedTopics(1, "first", "second", "out"))
		})
	}
}
