package millrace_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

var errBad = errors.New("bad value")

// picky copies "in" to "out" and refuses the value "bad"; "worse" panics.
func picky(t testing.TB) *topology.Topology {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	topology.TryMapValues(in, func(v string) (string, error) {
		switch v {
		case "bad":
			return "", errBad
		case "worse":
			panic("worse")
		}
		return v, nil
	}, serde.String, topology.Named("picky")).To("out")
	return build(t, b)
}

func TestFailStopsAtTheRecord(t *testing.T) {
	t.Parallel()
	for _, poison := range []string{"bad", "worse"} {
		t.Run(poison, func(t *testing.T) {
			t.Parallel()
			// The replay of processed records has a time limit.
			virtually(t, func(t *testing.T, c *cluster) {
				c.send("in", "a=1", "b=2", "c="+poison, "d=4")
				cfg := c.config("app", t.TempDir())
				for range 2 { // a restart meets it again
					app := run(t, picky(t), cfg)
					err := app.wait()
					var e *processor.Error
					if !errors.As(err, &e) || e.Node != "picky" || e.Topic != "in" || e.Partition != 0 || e.Offset != 2 {
						t.Fatalf("got %v", err)
					}
					if poison == "bad" && !errors.Is(err, errBad) {
						t.Errorf("the cause is lost: %v", err)
					}
					if app.State() != millrace.Failed {
						t.Errorf("state %v", app.State())
					}
					if at := c.committed("app", "in", 0); at != 2 {
						t.Errorf("committed %d, want 2: a restart resumes at the record", at)
					}
					if got := c.read("out", 2); !slices.Equal(got, []string{"a=1", "b=2"}) {
						t.Errorf("got %v", got)
					}
				}
				cfg.Errors.Process = processor.Skip
				app := run(t, picky(t), cfg)
				if got := c.read("out", 3); !slices.Equal(got, []string{"a=1", "b=2", "d=4"}) {
					t.Errorf("after the restart got %v", got)
				}
				app.stop()
				if at := c.committed("app", "in", 0); at != 4 {
					t.Errorf("committed %d, want 4", at)
				}
			}, kfake.SeedTopics(1, "in", "out"))
		})
	}
}

func TestSkipCommitsPastTheLastRecord(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	c.send("in", "a=1", "b=bad")
	seen := &told{}
	cfg := c.config("app", t.TempDir())
	cfg.Errors.Process = processor.Skip
	cfg.Hooks = []millrace.Hook{seen}
	app := run(t, picky(t), cfg)
	eventually(t, "the bad record is committed past", func() bool { return c.committed("app", "in", 0) == 2 })
	var s millrace.Snapshot
	eventually(t, "the commit is told", func() bool { // somewhat later
		s = app.Snapshot()
		return seen.commits.Load() > 0 && s.Records == 2 && len(s.Tasks) == 1 && s.Tasks[0].Partitions[0].Committed == 2
	})
	if seen.errors.Load() != 1 || seen.dropped.Load() != 1 {
		t.Errorf("hooks saw %d errors, %d drops", seen.errors.Load(), seen.dropped.Load())
	}
	bad := processor.Metadata{Topic: "in", Partition: 0, Offset: 1}
	if d := seen.lastDropped.Load().(millrace.Dropped); d.Record != bad || d.Reason != "error in process" {
		t.Errorf("hooks were told of %+v, want the record %+v", d, bad)
	}
	if s.Errors != 1 || s.Dropped != 1 || s.Tasks[0].Partitions[0].Lag != 0 {
		t.Errorf("snapshot %+v", s)
	}
	app.stop()
}

type told struct {
	errors, dropped, commits, failed atomic.Int64
	lastDropped                      atomic.Value // millrace.Dropped
}

func (o *told) OnError(*processor.Error, processor.Action) { o.errors.Add(1) }
func (o *told) OnDropped(d millrace.Dropped) {
	o.lastDropped.Store(d)
	o.dropped.Add(1)
}
func (o *told) OnCommit(c millrace.Commit) {
	if c.Err != nil {
		o.failed.Add(1)
	} else {
		o.commits.Add(1)
	}
}

func TestDeadLetter(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out", "dead"))
	c.send("in", "a=1", "b=bad", "c=3")
	cfg := c.config("app", t.TempDir())
	cfg.Errors = processor.ErrorPolicy{Process: processor.DeadLetter, DeadLetterTopic: "dead"}
	app := run(t, picky(t), cfg)
	if got := c.read("dead", 1); !slices.Equal(got, []string{"b=bad"}) {
		t.Errorf("dead letters %v", got)
	}
	if got := c.read("out", 2); !slices.Equal(got, []string{"a=1", "c=3"}) {
		t.Errorf("got %v", got)
	}
	app.stop()
}

// Dead letters must not come back: Run refuses a topic that it reads itself.
func TestDeadLettersToAnInput(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	c.send("in", "a=bad")
	cfg := c.config("app", t.TempDir())
	cfg.Errors = processor.ErrorPolicy{Process: processor.DeadLetter, DeadLetterTopic: "in"}
	if err := run(t, picky(t), cfg).wait(); err == nil || !strings.Contains(err.Error(), "source in-source reads the topic for dead letters, in,") {
		t.Errorf("Run: %v", err)
	}
	if end := c.PartitionInfo("in", 0).HighWatermark; end != 1 {
		t.Errorf("%d records in the input", end)
	}
}

// A transaction that fails at any of its steps is repeated. Nothing is lost or doubled.
func TestFaultsInTransactions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fault kfake.Fault
	}{
		{"offsets refused", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownServerError, Count: 3}},
		{"offsets busy", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.ConcurrentTransactions, Count: 3}},
		{"illegal generation", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration, Count: 1}},
		{"unknown member", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownMemberID, Count: 2}},
		{"end refused", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.UnknownServerError, Count: 2}},
		{"end unknown", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.RequestTimedOut, Count: 4}},
		{"producer fenced", kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.ProducerFenced, Count: 2}},
		{"produce epoch", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.InvalidProducerEpoch, Count: 2}},
		{"produce lost", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.NotLeaderForPartition, Count: 3}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				topo, table := counting(t)
				wiped, seen := &wipes{}, &told{}
				cfg := c.config("app", t.TempDir())
				cfg.TransactionTimeout = 3 * time.Second
				cfg.Hooks = []millrace.Hook{wiped, seen}
				app := run(t, topo, cfg)
				c.send("in", values(0, 30)...)
				c.read("out", 30)
				fault := c.Fault(tc.fault)
				c.send("in", values(30, 30)...)
				c.read("out", 60)
				c.send("in", values(60, 30)...)
				checkCounts(t, c.read("out", 90))
				if fault.Hits() == 0 {
					t.Error("the fault was never met")
				}
				var n int64
				var ok bool
				var err error
				eventually(t, "the partition is here", func() bool {
					n, ok, err = millrace.Get(context.Background(), app.App, table, "v3")
					return !errors.Is(err, millrace.ErrNotHere)
				})
				if want := int64(c.countOf("v3", 90)); err != nil || !ok || n != want {
					t.Errorf("v3 is %d, %v, %v; want %d", n, ok, err, want)
				}
				if wiped.n.Load() > 0 {
					t.Error("state was wiped")
				}
				app.stop()
			}, kfake.SeedTopics(2, "in", "out"))
		})
	}
}

// A record that the broker refuses goes to the error policy in the replay.
func TestRefusedRecord(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in"))
	if err := c.CreateTopic("out", 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	for i, r := range []*kgo.Record{{Key: []byte("a"), Value: []byte("1")}, {Value: []byte("no key")}, {Key: []byte("c"), Value: []byte("3")}} {
		r.Topic, r.Timestamp = "in", time.UnixMilli(int64(i))
		if err := c.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	refuse := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.InvalidRecord, Count: 1})
	cfg := c.config("app", t.TempDir())
	cfg.Errors.Produce = processor.Skip
	app := run(t, passthrough(t), cfg)
	got := c.read("out", 2)
	if !slices.Equal(got, []string{"a=1", "c=3"}) {
		t.Errorf("got %v", got)
	}
	eventually(t, "all is committed", func() bool { return c.committed("app", "in", 0) == 3 })
	if refuse.Hits() != 1 {
		t.Errorf("refused %d times", refuse.Hits())
	}
	app.stop()
}

// quickly makes an application look often at its topics.
func quickly(a *millrace.App) { millrace.SetTopicsEvery(a, 20*time.Millisecond) }

func TestTopicDisappears(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	app := runWith(t, passthrough(t), c.config("app", t.TempDir()), quickly)
	c.send("in", "a=1")
	c.read("out", 1)
	if err := c.DeleteTopic("in"); err != nil {
		t.Fatal(err)
	}
	if err := app.wait(); err == nil || !strings.Contains(err.Error(), "topic in was deleted while the application runs") {
		t.Errorf("got %v", err)
	}
}

func TestPartitionsChange(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(2, "in", "out"))
	topo, _ := counting(t)
	cfg := c.config("app", t.TempDir())
	app := runWith(t, topo, cfg, quickly)
	c.send("in", "a=1")
	c.read("out", 1)
	if _, err := kadm.NewClient(c.cl).UpdatePartitions(context.Background(), 3, "in"); err != nil {
		t.Fatal(err)
	}
	if err := app.wait(); err == nil || !strings.Contains(err.Error(), "partitions") {
		t.Errorf("while it runs: %v", err)
	}
	app = run(t, topo, cfg)
	if err := app.wait(); err == nil || !strings.Contains(err.Error(), "topic in had 2 partitions in the last run of this application, and has 3 now") {
		t.Errorf("at the start: %v", err)
	}
}

// A process with an empty directory refuses another number of partitions too, since the
// changelogs hold rows. The error names the topic and the real choices.
func TestPartitionsChangeWithoutADirectory(t *testing.T) {
	t.Parallel()
	grouped, _ := counting(t)
	for name, tc := range map[string]struct {
		topo *topology.Topology
		want []string
	}{
		"grouped by key": {direct(t, "in"), []string{
			"topic in had 2 partitions when store counts was filled, and has 4 now", "Give topic in 2 partitions again",
		}},
		"repartitioned": {grouped, []string{
			"topic app-by-value-repartition had 2 partitions when store counts was filled, and has 4 now", "topology.Partitions(2)",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				app := run(t, tc.topo, c.config("app", t.TempDir()))
				c.send("in", "a=1")
				c.read("out", 1)
				app.stop()
				if _, err := kadm.NewClient(c.cl).UpdatePartitions(context.Background(), 4, "in"); err != nil {
					t.Fatal(err)
				}
				err := run(t, tc.topo, c.config("app", t.TempDir())).wait()
				if err == nil {
					t.Fatal("it is not refused")
				}
				for _, want := range append(tc.want, "a new ID", "reset the application") {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("got %v, want %q", err, want)
					}
				}
				if strings.Contains(err.Error(), "RemoveStores") {
					t.Errorf("RemoveStores does not help: %v", err)
				}
			}, kfake.SeedTopics(2, "in", "out"))
		})
	}
}

// When an output topic gets more partitions, keys go where Kafka's partitioner now puts
// them, without a restart.
func TestOutputGrows(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		seen := &told{}
		cfg := c.config("app", t.TempDir())
		cfg.Hooks = []millrace.Hook{seen}
		app := runWith(t, passthrough(t), cfg, quickly)
		c.send("in", "a=1")
		c.read("out", 1)
		if _, err := kadm.NewClient(c.cl).UpdatePartitions(context.Background(), 4, "out"); err != nil {
			t.Fatal(err)
		}
		key := "a"
		for serde.Partition([]byte(key), 4) == 0 {
			key += "a"
		}
		n := 1
		eventually(t, "the key is in its new partition", func() bool {
			c.send("in", key+"=2")
			n++
			c.read("out", n)
			return c.PartitionInfo("out", serde.Partition([]byte(key), 4)).HighWatermark > 0
		})
		app.stop()
		if f := seen.failed.Load(); f > 5 {
			t.Errorf("%d transactions failed", f)
		}
	}, kfake.SeedTopics(1, "in", "out"))
}

// A committed offset is no longer in the log. Run returns an error that names it, unless
// the source has another rule.
func TestOffsetOutOfRange(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	cfg := c.config("app", t.TempDir())
	app := run(t, passthrough(t), cfg)
	c.send("in", "a=1", "b=2")
	c.read("out", 2)
	app.stop()
	c.send("in", "c=3", "d=4", "e=5")
	request := kmsg.NewPtrDeleteRecordsRequest()
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = "in"
	topic.Partitions = append(topic.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Partition: 0, Offset: 4})
	request.Topics = append(request.Topics, topic)
	if _, err := request.RequestWith(context.Background(), c.cl); err != nil {
		t.Fatal(err)
	}
	app = run(t, passthrough(t), cfg)
	if err := app.wait(); err == nil || !strings.Contains(err.Error(), "committed offset 2 of in/0, but the log has offsets 4 to 5") {
		t.Fatalf("got %v", err)
	}
	b := topology.New()
	topology.Source(b, "in", serde.String, serde.String, topology.OutOfRangeEarliest()).To("out")
	app = run(t, build(t, b), cfg)
	if got := c.read("out", 3); !slices.Equal(got, []string{"a=1", "b=2", "e=5"}) {
		t.Errorf("got %v", got)
	}
	app.stop()
}

func TestCloseTimeout(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
	entered, leave := make(chan struct{}), make(chan struct{})
	var once sync.Once
	b := topology.New()
	topology.Source(b, "in", serde.String, serde.String).Peek(func(string) {
		once.Do(func() { close(entered) })
		<-leave
	}).To("out")
	cfg := c.config("app", t.TempDir())
	cfg.CloseTimeout = 100 * time.Millisecond
	app := run(t, build(t, b), cfg)
	c.send("in", "a=1")
	<-entered
	app.cancel()
	if err := app.wait(); err == nil || !strings.Contains(err.Error(), "CloseTimeout") {
		t.Errorf("got %v", err)
	}
	close(leave)
}

// A restart with one more source and operator within the session processes both.
func TestRestartWithMoreTopology(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(2, "in", "in2", "out", "out2"))
	cfg := c.config("app", t.TempDir())
	cfg.OnClose = millrace.Stay
	cfg.SessionTimeout = 30 * time.Second
	app := run(t, passthrough(t), cfg)
	c.send("in", "a=1")
	c.read("out", 1)
	app.stop()
	b := topology.New()
	in2 := topology.Source(b, "in2", serde.String, serde.String)
	topology.MapValues(in2, strings.ToUpper, serde.String).To("out2")
	topology.Source(b, "in", serde.String, serde.String).To("out")
	app = run(t, build(t, b), cfg)
	c.send("in", "b=2")
	c.send("in2", "c=x")
	if got := c.read("out2", 1); !slices.Equal(got, []string{"c=X"}) {
		t.Errorf("got %v", got)
	}
	if got := c.read("out", 2); len(got) != 2 {
		t.Errorf("got %v", got)
	}
	app.stop()
}

func TestChangedStoreIsRefused(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(2, "in", "out"))
	cfg := c.config("app", t.TempDir())
	topo, _ := counting(t)
	app := run(t, topo, cfg)
	c.send("in", "a=1")
	c.read("out", 1)
	app.stop()
	app = run(t, passthrough(t), cfg)
	if err := app.wait(); err == nil || !strings.Contains(err.Error(), "store counts") {
		t.Errorf("got %v", err)
	}
}

// A record whose processing exceeds the transaction timeout goes to the error policy
// after two tries.
func TestRecordThatTakesTooLong(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		var tries atomic.Int64
		b := topology.New()
		in := topology.Source(b, "in", serde.String, serde.String)
		in.Peek(func(v string) {
			if v == "slow" {
				tries.Add(1)
				<-time.After(1500 * time.Millisecond)
			}
		}).To("out")
		cfg := c.config("app", t.TempDir())
		cfg.TransactionTimeout = time.Second
		cfg.Errors.Process = processor.Skip
		// Together, so that a transaction is open at the slow one.
		c.send("in", "a=1", "b=slow", "c=3")
		app := run(t, build(t, b), cfg)
		if got := c.read("out", 2); !slices.Equal(got, []string{"a=1", "c=3"}) {
			t.Errorf("got %v", got)
		}
		if n := tries.Load(); n != 2 {
			t.Errorf("tried %d times, want 2", n)
		}
		app.stop()
	}, kfake.SeedTopics(1, "in", "out"))
}

// A task has one changelog that the broker cannot read and one with nothing to restore,
// in both orders.
func TestChangelogThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, unreadable := range []string{"a", "b"} {
		t.Run(unreadable, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
			b := topology.New()
			byValue := topology.GroupBy(topology.Source(b, "in", serde.String, serde.String), "by-value", func(v string) string { return v }, serde.String)
			byValue.Count("a").Stream().To("out")
			byValue.Count("b")
			topo, cfg := build(t, b), c.config("app", t.TempDir())
			c.send("in", "k=v")
			app := run(t, topo, cfg)
			c.read("out", 1)
			app.stop()
			for range 2 { // the second time, the stores have seen everything
				seen := newStates()
				cfg.Hooks = []millrace.Hook{seen}
				app = run(t, topo, cfg)
				seen.await(t, millrace.Running)
				app.stop()
			}
			changelog := "app-" + unreadable + "-changelog"
			fault := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: changelog, Err: kerr.UnknownServerError, Count: -1})
			cfg.Hooks = nil
			app = run(t, topo, cfg)
			if err := app.wait(); !errors.Is(err, kerr.UnknownServerError) || !strings.Contains(err.Error(), changelog) {
				t.Errorf("got %v", err)
			}
			fault.Remove()
			app = run(t, topo, cfg) // everything was closed
			c.send("in", "k=v")
			if got := c.read("out", 2); got[1] != "v=\x00\x00\x00\x00\x00\x00\x00\x02" {
				t.Errorf("got %q", got)
			}
			app.stop()
		})
	}
}

// The topic's size limit is lowered. Batches then respect the new limit, and only a
// record that is too large by itself goes to the error policy.
func TestTopicThatTakesLess(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		guarantee millrace.Guarantee
		topic     string
	}{{millrace.ExactlyOnce, "out"}, {millrace.AtLeastOnce, "out"}, {millrace.ExactlyOnce, "app-again-repartition"}} {
		t.Run(tc.guarantee.String()+" "+tc.topic, func(t *testing.T) {
			t.Parallel()
			guarantee := tc.guarantee
			c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
			b := topology.New()
			topology.Repartition(topology.Source(b, "in", serde.String, serde.String), "again").To("out")
			const each, limit = 40, 700
			send := func(n int, size int) {
				var records []*kgo.Record
				for range n {
					random := make([]byte, size*100)
					_, _ = rand.Read(random) // nothing that can be compressed
					records = append(records, &kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte(hex.EncodeToString(random))})
				}
				if err := c.cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			seen := &told{}
			cfg := c.config("app", t.TempDir())
			cfg.Guarantee, cfg.Errors.Produce, cfg.Hooks = guarantee, processor.Skip, []millrace.Hook{seen}
			app := run(t, build(t, b), cfg)
			send(each, 1)
			before := c.read("out", each)

			set, value := kadm.SetConfig, strconv.Itoa(limit)
			if _, err := kadm.NewClient(c.cl).AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: set, Name: "max.message.bytes", Value: &value}}, tc.topic); err != nil {
				t.Fatal(err)
			}
			send(each, 1)
			send(1, 5)
			send(1, 1)
			eventually(t, "everything is committed", func() bool { return c.committed("app", "in", 0) == 2*each+2 })
			got := c.read("out", 2*each+1)
			slices.Sort(got)
			if n := len(slices.Compact(got)); n != 2*each+1 && guarantee == millrace.ExactlyOnce || len(before) != each {
				t.Errorf("%d different records, want %d", n, 2*each+1)
			}
			if seen.failed.Load() == 0 {
				t.Error("no batch was refused")
			}
			if n := seen.dropped.Load(); n != 1 {
				t.Errorf("%d records were dropped, want the one that is too large", n)
			}
			app.stop()
		})
	}
}
