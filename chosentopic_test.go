package millrace_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// routed sends each record to the topic that its key names.
func routed(t testing.TB) *topology.Topology {
	b := topology.New()
	topology.Source(b, "in", serde.String, serde.String).ToTopic(func(r processor.Record[string, string]) string { return r.Key }, topology.Named("route"))
	return build(t, b)
}

// If a chosen topic does not exist, or Kafka refuses its name or its use, the error
// policy gets an error that says so. This does not depend on the timeout of the
// transaction.
func TestChosenTopicThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer *kerr.Error
		want   string
	}{
		"missing":   {nil, "there is no such topic"},
		"invalid":   {kerr.InvalidTopicException, "INVALID_TOPIC_EXCEPTION"},
		"forbidden": {kerr.TopicAuthorizationFailed, "TOPIC_AUTHORIZATION_FAILED"},
	} {
		for _, timeout := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
			t.Run(fmt.Sprint(name, " ", timeout), func(t *testing.T) {
				t.Parallel()
				virtually(t, func(t *testing.T, c *cluster) {
					if tc.answer != nil {
						c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "nowhere", Err: tc.answer, Count: -1})
					}
					cfg := c.config("app", t.TempDir())
					cfg.TransactionTimeout = timeout
					c.send("in", "nowhere=1", "out=2", "nowhere=3", "out=4")
					err := run(t, routed(t), cfg).wait()
					var failed *processor.Error
					if !errors.As(err, &failed) || failed.Node != "route" || failed.Offset != 0 || !strings.Contains(err.Error(), tc.want) {
						t.Errorf("Run: %v", err)
					}
					cfg.Errors.Produce = processor.Skip
					app := run(t, routed(t), cfg)
					if got := c.read("out", 2); !slices.Equal(got, []string{"out=2", "out=4"}) {
						t.Errorf("got %v", got)
					}
					app.stop()
				}, kfake.SeedTopics(1, "in", "out"))
			})
		}
	}
}

// If the question about a chosen topic has an answer that no further try can change, Run
// returns it.
func TestChosenTopicCannotBeLookedUp(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		cfg := c.config("app", t.TempDir())
		cfg.Errors.Produce = processor.Skip
		c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "nowhere", Err: kerr.UnsupportedVersion, Count: -1})
		c.send("in", "nowhere=1")
		if err := run(t, routed(t), cfg).wait(); !errors.Is(err, kerr.UnsupportedVersion) {
			t.Errorf("Run: %v", err)
		}
	}, kfake.SeedTopics(1, "in", "out"))
}

// The topic is chosen by data. Data must not reach the state of the application.
func TestChosenTopicIsInternal(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		b := topology.New()
		in := topology.Source(b, "in", serde.String, serde.String)
		topology.GroupBy(in, "by-value", func(v string) string { return v }, serde.String).Count("counts")
		in.ToTopic(func(r processor.Record[string, string]) string { return r.Key }, topology.Named("route"))
		topo := build(t, b)
		internal := []string{"app-counts-changelog", "app-by-value-repartition", "app-stores-registry"}
		for _, topic := range internal {
			c.send("in", topic+"=1")
		}
		c.send("in", "out=2")
		cfg := c.config("app", t.TempDir())
		err := run(t, topo, cfg).wait()
		if err == nil || !strings.Contains(err.Error(), "app-counts-changelog") || !strings.Contains(err.Error(), "internal topic") {
			t.Errorf("Run: %v", err)
		}
		seen := &told{}
		cfg.Errors.Produce, cfg.Hooks = processor.Skip, []millrace.Hook{seen}
		app := run(t, topo, cfg)
		if got := c.read("out", 1); !slices.Equal(got, []string{"out=2"}) {
			t.Errorf("got %v", got)
		}
		if n := seen.errors.Load(); n != int64(len(internal)) {
			t.Errorf("%d errors", n)
		}
		app.stop()
	}, kfake.SeedTopics(1, "in", "out"))
}
