package millrace_test

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
)

func TestBrokersGoAway(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		topo, _ := counting(t)
		app := run(t, topo, c.config("app", t.TempDir()))
		c.send("in", values(0, 10)...)
		c.read("out", 10)
		c.Close()
		app.keepsTrying(time.Minute)
		app.stopWithin(2 * time.Second)
	}, kfake.SeedTopics(2, "in", "out"))
}

// keepsTrying checks that Run does not return within d of the virtual clock.
func (r *running) keepsTrying(d time.Duration) {
	r.t.Helper()
	select {
	case <-r.done:
		r.t.Fatalf("Run gave up: %v", r.err)
	case <-time.After(d):
	}
}

// stopWithin ends the application gracefully, within d of the virtual clock.
func (r *running) stopWithin(d time.Duration) {
	r.t.Helper()
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > d {
		r.t.Errorf("took %v to close", took)
	}
}

// reachedNobody ends an application that has never had an answer from a broker.
func (r *running) reachedNobody() {
	r.t.Helper()
	r.cancel()
	if err := r.wait(); !errors.Is(err, millrace.ErrNoBroker) {
		r.t.Errorf("Run: %v, want ErrNoBroker", err)
	}
}

// Records that have been counted are purged from the repartition topic.
func TestRepartitionTopicIsPurged(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(2, "in", "out"))
	topo, _ := counting(t)
	app := runWith(t, topo, c.config("app", t.TempDir()), func(a *millrace.App) { millrace.SetPurgeEvery(a, 20*time.Millisecond) })
	c.send("in", values(0, 20)...)
	c.read("out", 20)
	eventually(t, "the topic is empty", func() bool {
		for p := range int32(2) {
			info := c.PartitionInfo("app-by-value-repartition", p)
			// The last transaction's marker stays.
			if info.HighWatermark-info.LogStartOffset > 1 {
				return false
			}
		}
		return true
	})
	app.stop()
}
