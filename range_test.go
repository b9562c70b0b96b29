package millrace_test

import (
	"context"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// A task does not wait for records of one of its inputs that were deleted before it could
// read them.
func TestDeletedRecordsAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "left", "right", "out"))
	c.send("left", "a=1", "b=2")
	hidden := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "left", Err: kerr.NotLeaderForPartition, Count: 1 << 30})
	b := topology.New()
	left := topology.Source(b, "left", serde.String, serde.String, topology.OutOfRangeEarliest())
	left.Merge(topology.Source(b, "right", serde.String, serde.String)).To("out")
	running := newStates()
	cfg := c.config("app", t.TempDir())
	cfg.Hooks = []millrace.Hook{running}
	app := run(t, build(t, b), cfg)
	running.await(t, millrace.Running)
	eventually(t, "the records are asked for", func() bool { return hidden.Hits() > 0 })
	var gone kadm.Offsets
	gone.AddOffset("left", 0, 2, -1)
	if _, err := kadm.NewClient(c.cl).DeleteRecords(context.Background(), gone); err != nil {
		t.Fatal(err)
	}
	hidden.Remove()
	c.send("right", "c=3")
	if got := c.read("out", 1); !slices.Equal(got, []string{"c=3"}) {
		t.Errorf("got %v", got)
	}
	app.stop()
}

// The group's offset lies beyond the last stable offset, but within the log. The task
// begins there, and this is not a loss of records: a tool that resets a group to the end
// ignores transactions.
func TestCommittedOffsetBehindAnOpenTransaction(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	writer := c.Client(kgo.TransactionalID("writer"), kgo.DefaultProduceTopic("in"))
	ctx := context.Background()
	if err := writer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := writer.ProduceSync(ctx, kgo.StringRecord("open")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	var reset kadm.Offsets
	reset.AddOffset("in", 0, 1, -1)
	if err := kadm.NewClient(c.cl).CommitAllOffsets(ctx, "app", reset); err != nil {
		t.Fatal(err)
	}
	running := newStates()
	cfg := c.config("app", t.TempDir())
	cfg.Hooks = []millrace.Hook{running}
	app := run(t, passthrough(t), cfg)
	running.await(t, millrace.Running)
	if err := writer.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	c.send("in", "a=1")
	if got := c.read("out", 1); !slices.Equal(got, []string{"a=1"}) {
		t.Errorf("got %v", got)
	}
	app.stop()
}
