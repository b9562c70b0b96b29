package millrace_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

type texts = topology.Stream[string, string]

// timed are operators that judge records by a stream time. replayed are their results
// when the records of the test come a second time, without repetitions.
var timed = map[string]struct {
	operator func(left, right texts) texts
	replayed []string
}{
	"tumbling windows": {func(left, _ texts) texts {
		return windowTexts(topology.GroupByKey(left, "by-key").Window(topology.Tumbling(10*time.Second)).Count("counts", topology.EveryUpdate()))
	}, []string{"a@0-10=2", "a@60-70=2"}},
	"sliding windows": {func(left, _ texts) texts {
		return windowTexts(topology.GroupByKey(left, "by-key").Window(topology.Sliding(10*time.Second)).Count("counts", topology.EveryUpdate()))
	}, []string{"a@0-10=2", "a@51-61=2"}},
	"closed windows": {func(left, _ texts) texts {
		return windowTexts(topology.GroupByKey(left, "by-key").Window(topology.Tumbling(10 * time.Second)).Count("counts").Final())
	}, []string{"a@0-10=2"}},
	"sessions": {func(left, _ texts) texts {
		return windowTexts(topology.GroupByKey(left, "by-key").Sessions(10*time.Second).Count("counts", topology.EveryUpdate()))
	}, []string{"a@1-1=2", "a@61-61=2"}},
	"join": {func(left, right texts) texts {
		return topology.JoinWindow(left, right, "joined", topology.Within(10*time.Second), func(l, r string) string { return l + r }, serde.String)
	}, []string{"a=l0r0", "a=l1r1"}},
	"left join": {func(left, right texts) texts {
		return topology.LeftJoinWindow(left, right, "joined", topology.Within(10*time.Second), func(l, r string, _ bool) string { return l + r }, serde.String)
	}, []string{"a=l0r0", "a=l1r1"}},
	"outer join": {func(left, right texts) texts {
		return topology.OuterJoinWindow(left, right, "joined", topology.Within(10*time.Second), func(l string, _ bool, r string, _ bool) string { return l + r }, serde.String)
	}, []string{"a=l0r0", "a=l1r1"}},
}

// windowTexts names rows by their key and the first and last second of their window.
func windowTexts(t topology.WindowedTable[string, int64]) texts {
	return topology.Map(t.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
		return processor.NewRecord(fmt.Sprintf("%s@%d-%d", r.Key.Key, r.Key.Window.Start/1000, r.Key.Window.End/1000), fmt.Sprint(r.Value), r.Timestamp)
	}, serde.String, serde.String)
}

// timedTopology applies an operator to the topics in and in2, and sends its results to
// out.
func timedTopology(t testing.TB, operator string) *topology.Topology {
	b := topology.New()
	left, right := topology.Source(b, "in", serde.String, serde.String), topology.Source(b, "in2", serde.String, serde.String)
	timed[operator].operator(left, right).To("out")
	right.Filter(func(string) bool { return false }).To("out") // in2 is always read
	return build(t, b)
}

// texts are the committed records that a topic holds now, as "key=value".
func (c *cluster) texts(topic string) (out []string) {
	for _, r := range c.records(topic) {
		out = append(out, string(r.Key)+"="+string(r.Value))
	}
	return out
}

// At least once, a process may die when its rows are in the changelogs, before it commits
// offsets for the first time. The records that are replayed are not late, so all their
// results come again: the process may have died before the results were written.
func TestReplayedRecordsAreNotLate(t *testing.T) {
	t.Parallel()
	for operator := range timed {
		t.Run(operator, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) { replay(t, c, operator) }, kfake.SeedTopics(1, "in", "in2", "out"))
		})
	}
}

func replay(t *testing.T, c *cluster, operator string) {
	cfg := c.lossConfig(t.TempDir(), millrace.AtLeastOnce)
	c.idle(timedTopology(t, operator), cfg)
	for i, at := range []int64{1, 61} {
		for topic, value := range map[string]string{"in": "l", "in2": "r"} {
			record := &kgo.Record{Topic: topic, Key: []byte("a"), Value: fmt.Append([]byte(value), i), Timestamp: time.UnixMilli(at * 1000)}
			if err := c.cl.ProduceSync(context.Background(), record).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.diesUncommitted(timedTopology(t, operator), cfg, len(timed[operator].replayed))
	before := len(c.texts("out"))
	cfg.StateDir = t.TempDir()
	app := run(t, timedTopology(t, operator), cfg)
	eventually(t, "everything is processed", func() bool { return c.committed("app", "in", 0) == 2 && c.committed("app", "in2", 0) == 2 })
	app.stop()
	if got := slices.Compact(c.texts("out")[before:]); !slices.Equal(got, timed[operator].replayed) {
		t.Errorf("got %v, want %v", got, timed[operator].replayed)
	}
}

// diesUncommitted runs an application that cannot commit, until topic out has n records.
func (c *cluster) diesUncommitted(topo *topology.Topology, cfg millrace.Config, n int) {
	c.t.Helper()
	before := c.committed("app", "in", 0)
	commits := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.IllegalGeneration, Count: -1})
	app := run(c.t, topo, cfg)
	c.read("out", n)
	app.cancel()
	_ = app.wait()
	commits.Remove()
	if at := c.committed("app", "in", 0); at != before {
		c.t.Fatalf("committed %d, want %d as before", at, before)
	}
}

// The same holds later on, if another input of the task never had a record: its offset is
// still that of the start.
func TestReplayBesideASilentInput(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		topo := windowed(t, 1, nil, "in", "in2")
		cfg := c.lossConfig(t.TempDir(), millrace.AtLeastOnce)
		c.sendKey("in", "a", time.Second)
		c.counted(topo, cfg, 1)
		c.sendKey("in", "a", 2*time.Second)
		c.sendKey("in", "a", 61*time.Second)
		c.diesUncommitted(topo, cfg, 3)
		before := len(c.texts("out"))
		cfg.StateDir = t.TempDir()
		c.counted(topo, cfg, before+2)
		if got, want := c.texts("out")[before:], []string{"a@0=3", "a@60=2"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}, kfake.SeedTopics(1, "in", "in2", "out"))
}
