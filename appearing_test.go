package millrace_test

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// unknown makes brokers answer requests as if they did not know a topic.
func (c *cluster) unknown(key kmsg.Key, topic string, times int) *kfake.FaultHandle {
	return c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, Topic: topic, Resource: resource(key, topic), Err: kerr.UnknownTopicOrPartition, Count: times})
}

func resource(key kmsg.Key, topic string) string {
	if key == kmsg.DescribeConfigs {
		return topic
	}
	return ""
}

// The metadata of brokers lags behind the creation of topics. An application starts
// nevertheless.
func TestTopicsThatWereJustCreated(t *testing.T) {
	t.Parallel()
	topo, _ := counting(t)
	for name, tc := range map[string]struct {
		key   kmsg.Key
		topic string
	}{
		"input":                            {kmsg.Metadata, "in"},
		"output":                           {kmsg.Metadata, "out"},
		"the configuration of an input":    {kmsg.DescribeConfigs, "in"},
		"a changelog":                      {kmsg.Metadata, changelog},
		"the configuration of a changelog": {kmsg.DescribeConfigs, changelog},
		"a changelog whose offsets are asked for": {kmsg.ListOffsets, changelog},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				log := &lines{}
				cfg := c.config("app", t.TempDir())
				cfg.Logger = logTo(log)
				c.unknown(tc.key, tc.topic, 3)
				app := run(t, topo, cfg)
				c.send("in", values(0, 10)...)
				checkCounts(t, c.read("out", 10))
				app.stop()
				if log.has("could not be read") {
					t.Error("the configuration was taken for one that may not be read")
				}
			}, kfake.SeedTopics(2, "in", "out"))
		})
	}
}

// A topic that does not exist is reported after a few seconds.
func TestTopicsThatAreMissing(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		began := time.Now()
		err := run(t, passthrough(t), c.config("app", t.TempDir())).wait()
		if err == nil || !strings.Contains(err.Error(), "the application reads in; the application writes out") {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(began); took < 2*time.Second || took > 10*time.Second {
			t.Errorf("after %v", took)
		}
	}, kfake.SeedTopics(1, "other"))
}

// A starting broker does not know all topics for a moment. A running application
// continues.
func TestTopicsThatSeemToDisappear(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		topo, _ := counting(t)
		app := run(t, topo, c.config("app", t.TempDir()))
		c.send("in", values(0, 10)...)
		c.read("out", 10)
		fault := c.unknown(kmsg.Metadata, "in", 1)
		eventually(t, "the topics are looked at", func() bool { return fault.Hits() > 0 })
		app.keepsTrying(time.Minute)
		app.stop()
	}, kfake.SeedTopics(2, "in", "out"))
}

// Topics that are chosen per record may be new as well. If one does not exist, it holds
// up only its first record.
func TestChosenTopicThatWasJustCreated(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		b := topology.New()
		topology.Source(b, "in", serde.String, serde.String).ToTopic(func(r processor.Record[string, string]) string { return r.Value })
		c.unknown(kmsg.Metadata, "out", 2)
		app := run(t, build(t, b), c.config("app", t.TempDir()))
		c.send("in", "k=out")
		c.read("out", 1)
		app.stop()
	}, kfake.SeedTopics(1, "in", "out"))
}

// Without a Logger the application logs to slog.Default(), so that unreachable brokers
// show. The default logger is the process's, so the test runs in a process of its own.
func TestDefaultLogger(t *testing.T) {
	const inChild = "MILLRACE_TEST_DEFAULT_LOGGER"
	if os.Getenv(inChild) == "" {
		t.Parallel()
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDefaultLogger$")
		cmd.Env = append(os.Environ(), inChild+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	var def bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&def, nil)))
	virtually(t, func(t *testing.T, c *cluster) {
		cfg := c.config("app", t.TempDir())
		cfg.Logger = slog.New(slog.DiscardHandler)
		c.Close()
		for _, logger := range []*slog.Logger{cfg.Logger, nil} {
			cfg.Logger = logger
			if def.Len() > 0 {
				t.Errorf("a discard logger is not silent: %s", &def)
			}
			app := run(t, passthrough(t), cfg)
			app.keepsTrying(10 * time.Second)
			app.reachedNobody()
		}
		if !strings.Contains(def.String(), "level=WARN") {
			t.Errorf("unreachable brokers do not show: %q", &def)
		}
	}, kfake.SeedTopics(1, "in", "out"))
}
