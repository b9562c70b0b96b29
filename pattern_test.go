package millrace_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

// copying copies the topics in-… to "out".
func copying(t testing.TB, opts ...topology.SourceOption) *topology.Topology {
	b := topology.New()
	topology.SourcePattern(b, "ins", `in-.*`, serde.String, serde.String, opts...).To("out")
	return build(t, b)
}

// countingAll counts the values of the topics in-… over a repartition topic.
func countingAll(t testing.TB) *topology.Topology {
	b := topology.New()
	in := topology.SourcePattern(b, "ins", `in-.*`, serde.String, serde.String)
	table := topology.GroupBy(in, "by-value", func(v string) string { return v }, serde.String).Count("counts", topology.EveryUpdate())
	topology.MapValues(table.Stream(), func(n int64) string { return fmt.Sprint(n) }, serde.String).To("out")
	return build(t, b)
}

func (c *cluster) create(topic string, partitions int32) {
	c.t.Helper()
	if _, err := kadm.NewClient(c.cl).CreateTopic(context.Background(), partitions, 1, nil, topic); err != nil {
		c.t.Fatal(err)
	}
}

// grow gives a topic more partitions.
func (c *cluster) grow(topic string, partitions int) {
	c.t.Helper()
	if _, err := kadm.NewClient(c.cl).UpdatePartitions(context.Background(), partitions, topic); err != nil {
		c.t.Fatal(err)
	}
	c.cl.PurgeTopicsFromClient(topic)
}

func (c *cluster) remove(topic string) {
	c.t.Helper()
	if _, err := kadm.NewClient(c.cl).DeleteTopic(context.Background(), topic); err != nil {
		c.t.Fatal(err)
	}
}

// A topic that is created while the application runs is read, from its beginning, and the
// state is kept. Topics that do not match, and the application's own, are not read.
func TestTopicThatAppears(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		states := newStates()
		cfg := c.config("in-app", t.TempDir()) // its internal topics match the pattern
		cfg.Hooks = []millrace.Hook{states}
		app := run(t, countingAll(t), cfg)
		c.send("in-1", "a=x", "b=y")
		c.read("out", 2)
		before := app.Snapshot()
		c.create("in-2", 2)
		c.create("main-3", 2)
		c.send("in-2", "a=x", "b=x")
		c.send("main-3", "a=x")
		if got := c.read("out", 4); !slices.Contains(got, "x=2") || !slices.Contains(got, "x=3") {
			t.Errorf("got %v", got)
		}
		if after := app.Snapshot(); after.Records <= before.Records {
			t.Errorf("the counters began again: %d after %d", after.Records, before.Records)
		}
		app.stop()
		if got := states.all(); slices.Contains(got[:len(got)-2], millrace.Closing) || slices.Contains(got[:len(got)-1], millrace.Closed) {
			t.Errorf("the application was closed in between: %v", got)
		}
	}, kfake.SeedTopics(2, "in-1", "out"))
}

func (s *states) all() []millrace.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Two processes read a new topic together, also partitions that no other topic has. None
// of the tasks runs twice, and no record is lost or doubled.
func TestTopicThatAppearsToTwoProcesses(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		topo := copying(t)
		first, second := run(t, topo, c.config("app", t.TempDir())), run(t, topo, c.config("app", t.TempDir()))
		sent := values(0, 20)
		c.send("in-1", sent...)
		c.read("out", 20)
		eventually(t, "both have tasks", func() bool { return len(first.Snapshot().Tasks) == 1 && len(second.Snapshot().Tasks) == 1 })
		c.create("in-2", 6)
		c.send("in-2", values(20, 40)...)
		eventually(t, "both have tasks of the new topic", func() bool { return len(first.Snapshot().Tasks) == 3 && len(second.Snapshot().Tasks) == 3 })
		c.send("in-1", values(60, 20)...)
		want := slices.Sorted(slices.Values(values(0, 80)))
		if got := slices.Sorted(slices.Values(c.read("out", 80))); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		first.stop()
		second.stop()
	}, kfake.SeedTopics(2, "in-1", "out"))
}

// The application waits while no topic matches, and says so.
func TestNoTopicMatches(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		log := &lines{}
		cfg := c.config("app", t.TempDir())
		cfg.Logger = logTo(log)
		app := run(t, countingAll(t), cfg)
		eventually(t, "the log says so", func() bool { return log.has("no topic matches a pattern of the topology; waiting for one") })
		c.create("in-1", 3)
		c.send("in-1", "a=x")
		c.read("out", 1)
		app.stop()
	}, kfake.SeedTopics(2, "out"))
}

// A part of the topology whose pattern matches nothing does not hold up the others, and
// begins, with its internal topics, when a topic is there.
func TestNoTopicMatchesOneOfTwoSources(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		b := topology.New()
		topology.Source(b, "other", serde.String, serde.String).To("out")
		in := topology.SourcePattern(b, "ins", `in-.*`, serde.String, serde.String)
		table := topology.GroupBy(in, "by-value", func(v string) string { return v }, serde.String).Count("counts")
		topology.MapValues(table.Stream(), func(n int64) string { return fmt.Sprint(n) }, serde.String).To("out")
		log, dir := &lines{}, t.TempDir()
		cfg := c.config("app", dir)
		cfg.Logger = logTo(log)
		app := run(t, build(t, b), cfg)
		c.send("other", "a=1")
		c.read("out", 1)
		if !log.has("no topic matches the pattern of a source") {
			t.Error("the log does not say that a source has no topics")
		}
		c.create("in-1", 3)
		c.send("in-1", "a=x")
		if got := c.read("out", 2); got[1] != "x=1" {
			t.Errorf("got %v", got)
		}
		app.stop()
		// Without the topic, the state waits for one.
		c.remove("in-1")
		app = run(t, build(t, b), cfg)
		c.send("other", "b=2")
		c.read("out", 3)
		c.create("in-2", 3)
		c.send("in-2", "a=x")
		if got := c.read("out", 4); got[3] != "x=2" {
			t.Errorf("got %v", got)
		}
		app.stop()
	}, kfake.SeedTopics(1, "other", "out"))
}

// With StartAtLatest, the topics of the first start are read from their end, and topics
// that appear later from their beginning: while the application runs, or while it does
// not.
func TestLatestOfAPattern(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		dir := t.TempDir()
		topo := copying(t, topology.StartAtLatest())
		c.send("in-1", "a=before")
		app := run(t, topo, c.config("app", dir))
		eventually(t, "the start is committed", func() bool { return c.committed("app", "in-1", 0) == 1 })
		c.create("in-2", 2)
		c.send("in-2", "a=2", "b=2", "c=2")
		if got := c.read("out", 3); slices.Contains(got, "a=before") {
			t.Errorf("got %v", got)
		}
		app.stop()
		c.create("in-3", 1)
		c.send("in-3", "a=3")
		app = run(t, topo, c.config("app", dir))
		if got := c.read("out", 4); got[3] != "a=3" {
			t.Errorf("got %v", got)
		}
		app.stop()
	}, kfake.SeedTopics(1, "in-1", "out"))
}

// beginsLatest starts the application of copying with StartAtLatest, and waits until it
// has committed where it begins to read in-1.
func (c *cluster) beginsLatest(dir string) *running {
	c.t.Helper()
	app := run(c.t, copying(c.t, topology.StartAtLatest()), c.config("app", dir))
	eventually(c.t, "the start is committed", func() bool { return c.committed("app", "in-1", 0) >= 0 })
	return app
}

// A process that starts before the running ones have found a new topic begins it at its
// beginning too, also those of its partitions that no other topic has.
func TestLatestOfAPatternForANewProcess(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		c.send("in-1", "a=before")
		first := c.beginsLatest(t.TempDir())
		c.create("in-2", 6)
		sent := values(0, 60)
		c.send("in-2", sent...)
		second := run(t, copying(t, topology.StartAtLatest()), c.config("app", t.TempDir()))
		slices.Sort(sent)
		if got := slices.Sorted(slices.Values(c.read("out", 60))); !slices.Equal(got, sent) {
			t.Errorf("got %v", got)
		}
		first.stop()
		second.stop()
	}, kfake.SeedTopics(2, "in-1", "out"))
}

// Topics, partitions and topics with an earlier name that were created while no process
// ran are read from their beginning, and nothing twice.
func TestLatestOfAPatternAfterAPause(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		c.create("in-3", 1)
		c.create("in-4", 1)
		c.send("in-1", "a=before")
		c.send("in-4", "a=before")
		c.beginsLatest(t.TempDir()).stop()
		c.create("in-2", 6)
		c.send("in-2", values(0, 20)...)
		c.grow("in-3", 3)
		c.send("in-3", values(20, 20)...)
		c.recreate("in-4", 1)
		c.send("in-4", values(40, 20)...)
		app := c.beginsLatest(t.TempDir())
		want := values(0, 60)
		slices.Sort(want)
		if got := slices.Sorted(slices.Values(c.read("out", 60))); !slices.Equal(got, want) {
			t.Errorf("got %v", got)
		}
		app.stop()
	}, kfake.SeedTopics(1, "in-1", "out"))
}

// Two processes that start for the first time at once agree on the topics that are read
// from their end: all that were there.
func TestLatestOfAPatternForTwoFirstProcesses(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		c.create("in-2", 6)
		c.send("in-1", values(0, 10)...)
		c.send("in-2", values(0, 30)...)
		topo := copying(t, topology.StartAtLatest())
		first, second := run(t, topo, c.config("app", t.TempDir())), run(t, topo, c.config("app", t.TempDir()))
		eventually(t, "all starts are committed", func() bool {
			for p := range int32(6) {
				if c.committed("app", "in-2", p) < 0 || p < 2 && c.committed("app", "in-1", p) < 0 {
					return false
				}
			}
			return true
		})
		c.send("in-2", "a=after")
		if got := c.read("out", 1); !slices.Equal(got, []string{"a=after"}) {
			t.Errorf("got %v", got)
		}
		first.stop()
		second.stop()
	}, kfake.SeedTopics(2, "in-1", "out"))
}

// If the offsets have expired, an application without stores begins anew: at the end of
// the first topics, and at the beginning of those that appeared later.
func TestLatestOfAPatternWithoutOffsets(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		app := c.beginsLatest(t.TempDir())
		c.create("in-2", 1)
		c.send("in-2", "a=2")
		c.send("in-1", "a=1")
		c.read("out", 2)
		app.stop()
		c.send("in-1", "b=1")
		c.send("in-2", "b=2")
		c.deleteOffsets("in-1", "in-2")
		app = c.beginsLatest(t.TempDir())
		if got := c.read("out", 4)[2:]; !slices.Equal(got, []string{"a=2", "b=2"}) {
			t.Errorf("got %v", got)
		}
		app.stop()
	}, kfake.SeedTopics(1, "in-1", "out"))
}

// An earlier version of the library has not recorded which topics matched first. A topic
// without offsets then came later.
func TestLatestOfAPatternOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		c.send("in-1", "a=before")
		c.beginsLatest(t.TempDir()).stop()
		c.register("pattern/ins", nil)
		c.create("in-2", 6)
		sent := values(0, 20)
		c.send("in-2", sent...)
		app := c.beginsLatest(t.TempDir())
		slices.Sort(sent)
		if got := slices.Sorted(slices.Values(c.read("out", 20))); !slices.Equal(got, sent) {
			t.Errorf("got %v", got)
		}
		app.stop()
	}, kfake.SeedTopics(1, "in-1", "out"))
}

// If no topic matched when the application was started, all topics came later, also if
// the process has ended meanwhile, or if another one finds them.
func TestLatestOfAPatternThatMatchedNothing(t *testing.T) {
	t.Parallel()
	for name, then := range map[string]func(c *cluster, app *running, send func()) *running{
		"": func(_ *cluster, app *running, send func()) *running {
			send()
			return app
		},
		"another process": func(c *cluster, _ *running, send func()) *running {
			send()
			return c.beginsLatest(c.t.TempDir())
		},
		"after a pause": func(c *cluster, app *running, send func()) *running {
			app.stop()
			send()
			return c.beginsLatest(c.t.TempDir())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				log := &lines{}
				cfg := c.config("app", t.TempDir())
				cfg.Logger = logTo(log)
				first := run(t, copying(t, topology.StartAtLatest()), cfg)
				eventually(t, "the log says so", func() bool { return log.has("no topic matches a pattern of the topology; waiting for one") })
				app := then(c, first, func() {
					c.create("in-1", 1)
					c.send("in-1", "a=1", "b=2")
				})
				if got := c.read("out", 2); !slices.Equal(got, []string{"a=1", "b=2"}) {
					t.Errorf("got %v", got)
				}
				app.stop()
			}, kfake.SeedTopics(1, "out"))
		})
	}
}

// A topic that only the changed pattern of a source matches is one that the application
// begins to read now.
func TestLatestOfAChangedPattern(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		c.beginsLatest(t.TempDir()).stop()
		c.send("main-1", "a=before")
		c.create("in-2", 1)
		c.send("in-2", "a=2")
		b := topology.New()
		topology.SourcePattern(b, "ins", `(ma)?in-.*`, serde.String, serde.String, topology.StartAtLatest()).To("out")
		app := run(t, build(t, b), c.config("app", t.TempDir()))
		eventually(t, "the start is committed", func() bool { return c.committed("app", "main-1", 0) == 1 })
		c.send("main-1", "b=after")
		if got := slices.Sorted(slices.Values(c.read("out", 2))); !slices.Equal(got, []string{"a=2", "b=after"}) {
			t.Errorf("got %v", got)
		}
		app.stop()
	}, kfake.SeedTopics(1, "in-1", "main-1", "out"))
}

// A topic that is deleted while the application runs ends it, as a named input does. The
// next start goes on without the topic, and with the state.
func TestTopicOfAPatternIsDeleted(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(2, "in-1", "in-2", "out"))
	dir := t.TempDir()
	app := runWith(t, countingAll(t), c.config("app", dir), quickly)
	c.send("in-1", "a=x")
	c.send("in-2", "a=x")
	c.read("out", 2)
	c.remove("in-1")
	err := app.wait()
	if err == nil || !strings.Contains(err.Error(), `topic in-1, which matches the pattern "in-.*", was deleted while the application runs: restart the application`) {
		t.Errorf("Run: %v", err)
	}
	app = run(t, countingAll(t), c.config("app", t.TempDir()))
	c.send("in-2", "a=x")
	if got := c.read("out", 3); got[2] != "x=3" {
		t.Errorf("got %v", got)
	}
	app.stop()
	c.remove("in-2")
	c.create("in-3", 2)
	app = run(t, countingAll(t), c.config("app", dir))
	c.send("in-3", "a=x")
	if got := c.read("out", 4); got[3] != "x=4" {
		t.Errorf("after all topics were replaced: %v", got)
	}
	app.stop()
}

// What a pattern must not match ends Run, with an error that says why.
func TestTopicsThatMustNotMatch(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		topology func(*testing.T) *topology.Topology
		create   string
		parts    int32
		want     string
	}{
		"two patterns": {func(t *testing.T) *topology.Topology {
			b := topology.New()
			topology.SourcePattern(b, "ins", `in-.*`, serde.String, serde.String).To("out")
			topology.SourcePattern(b, "twos", `.*-2`, serde.String, serde.String).To("out")
			return build(t, b)
		}, "in-2", 2, "topic in-2 is read by two sources"},
		"more partitions than the state": {func(t *testing.T) *topology.Topology {
			b := topology.New()
			in := topology.SourcePattern(b, "ins", `in-.*`, serde.String, serde.String)
			topology.Process(in, "p", func() *ignoring { return &ignoring{} }, serde.String, serde.String, state.KeyValue("kept", serde.String, serde.String))
			return build(t, b)
		}, "in-2", 3,
			`topic in-2, which matches the pattern "in-.*" of source ins, has 3 partitions, but the state of the application was made for 2`},
		"other partitions than a co-partitioned topic": {func(t *testing.T) *topology.Topology {
			b := topology.New()
			in := topology.SourcePattern(b, "ins", `in-.*`, serde.String, serde.String)
			topology.GroupByKey(in, "by-key").Count("counts")
			return build(t, b)
		}, "in-2", 1, "in-1 has 2, in-2 has 1"},
		"dead letters": {func(t *testing.T) *topology.Topology { return copying(t) }, "in-letters", 2, "matches the topic for dead letters, in-letters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				cfg := c.config("app", t.TempDir())
				if name == "dead letters" {
					cfg.Errors = processor.ErrorPolicy{Decode: processor.DeadLetter, DeadLetterTopic: tc.create}
				}
				app := run(t, tc.topology(t), cfg)
				if name != "dead letters" {
					c.send("in-1", "a=x")
					eventually(t, "the record is committed", func() bool { return c.committed("app", "in-1", 0)+c.committed("app", "in-1", 1) > 0 })
				}
				c.create(tc.create, tc.parts)
				if err := app.wait(); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("Run: %v, want %q", err, tc.want)
				}
			}, kfake.SeedTopics(2, "in-1", "out"))
		})
	}
}

// A topic with more partitions than all before adds tasks. Repartition topics keep their
// number, and so the stores behind them their rows.
func TestTopicWithMorePartitions(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		app := run(t, countingAll(t), c.config("app", t.TempDir()))
		c.send("in-1", "a=x", "b=x")
		c.read("out", 2)
		c.create("in-2", 5)
		c.send("in-2", "a=x", "b=x", "c=x", "d=x", "e=x", "f=x")
		if got := c.read("out", 8); !slices.Contains(got, "x=8") {
			t.Errorf("got %v", got)
		}
		app.stop()
	}, kfake.SeedTopics(2, "in-1", "out"))
}

// A topic that had more partitions than the others is deleted. The next start goes on
// without it, and with the rows of the tasks that are left. If the topic comes back, its
// rows are there again.
func TestLargestTopicOfAPatternIsDeleted(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		b := topology.New()
		in := topology.SourcePattern(b, "ins", `in-.*`, serde.String, serde.String)
		spec := state.KeyValue("own", serde.String, serde.Int64)
		topology.Process(in, "own", func() *summer[int64] { return &summer[int64]{spec: spec} }, serde.String, serde.String, spec).To("out")
		topo := build(t, b)
		c.create("in-2", 5)
		cfg := c.config("app", t.TempDir())
		again := func(topic string, from, results int) {
			t.Helper()
			app := run(t, topo, cfg)
			c.send(topic, values(from, 10)...) // values of two letters
			got := c.read("out", results)[results-10:]
			if slices.ContainsFunc(got, func(r string) bool { return !strings.HasSuffix(r, "=own 4") }) {
				t.Errorf("got %v", got)
			}
			app.stop()
		}
		app := run(t, topo, cfg)
		c.send("in-1", values(0, 10)...)
		c.send("in-2", values(10, 10)...)
		c.read("out", 20)
		app.stop()
		c.remove("in-2")
		cfg.StateDir = t.TempDir()
		again("in-1", 0, 30)
		c.create("in-2", 5)
		c.cl.PurgeTopicsFromClient("in-2")
		cfg.RecreatedInputs = millrace.RestartEarliest
		again("in-2", 10, 40)
	}, kfake.SeedTopics(2, "in-1", "out"))
}

// ignoring is a processor that does nothing.
type ignoring struct{}

func (*ignoring) Init(processor.Context[string, string]) error { return nil }

func (*ignoring) Process(processor.Context[string, string], processor.Record[string, string]) error {
	return nil
}

// A changed pattern is another source: if it has no topic in common with the former one,
// the state would be filled from elsewhere, and the start is refused.
func TestChangedPattern(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		by := func(pattern string) *topology.Topology {
			b := topology.New()
			in := topology.SourcePattern(b, "ins", pattern, serde.String, serde.String)
			table := topology.GroupByKey(in, "by-key").Count("counts", topology.EveryUpdate())
			topology.MapValues(table.Stream(), func(n int64) string { return fmt.Sprint(n) }, serde.String).To("out")
			return build(t, b)
		}
		dir := t.TempDir()
		app := run(t, by("in-.*"), c.config("app", dir))
		c.send("in-1", "a=x")
		c.read("out", 1)
		app.stop()
		app = run(t, by("(in|other)-.*"), c.config("app", t.TempDir()))
		c.send("other-1", "a=x")
		if got := c.read("out", 2); got[1] != "a=2" {
			t.Errorf("got %v", got)
		}
		app.stop()
		for _, dir := range []string{dir, t.TempDir()} {
			err := run(t, by("third-.*"), c.config("app", dir)).wait()
			if err == nil || !strings.Contains(err.Error(), "store counts was filled from in-1, other-1 and is now filled from third-1") {
				t.Errorf("Run: %v", err)
			}
		}
	}, kfake.SeedTopics(1, "in-1", "other-1", "third-1", "out"))
}
