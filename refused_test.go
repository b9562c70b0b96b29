package millrace_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/windowstore"
)

// sendAll produces values to the partitions of a topic in turn, in one go.
func (c *cluster) sendAll(topic string, partitions int, values ...string) {
	c.t.Helper()
	cl := c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: topic, Partition: int32(i % partitions), Key: []byte("k" + strconv.Itoa(i%partitions)), Value: []byte(v), Timestamp: time.UnixMilli(int64(i + 1))}
	}
	if err := cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// values returns the committed values of a topic's partitions, in order.
func (c *cluster) values(topic string, partitions int32) [][]string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, ends := make([][]string, partitions), map[int32]int64{}
	for _, info := range c.PartitionInfos(topic) {
		if info.HighWatermark > 0 {
			ends[info.Partition] = info.HighWatermark
		}
	}
	cl := c.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond))
	defer cl.Close()
	for len(ends) > 0 {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				got[r.Partition] = append(got[r.Partition], string(r.Value))
			}
			if r.Offset+1 >= ends[r.Partition] {
				delete(ends, r.Partition)
			}
		})
		if ctx.Err() != nil {
			c.t.Fatalf("topic %s cannot be read to its end", topic)
		}
	}
	return got
}

func isBad(r kafkatest.Record) bool { return strings.HasPrefix(string(r.Value), "bad") }

// goodAndBad returns n values, a share of them bad.
func goodAndBad(rng *rand.Rand, n int, share float64) []string {
	values := make([]string, n)
	for i := range values {
		values[i] = "good" + strconv.Itoa(i)
		if rng.Float64() < share {
			values[i] = "bad" + strconv.Itoa(i)
		}
	}
	return values
}

// lastOnes drops repeated writes under at-least-once: only the last write of a value
// counts. A correct result under exactly-once stays unchanged.
func lastOnes(values []string) []string {
	at := map[string]int{}
	for i, v := range values {
		at[v] = i
	}
	var last []string
	for i, v := range values {
		if at[v] == i {
			last = append(last, v)
		}
	}
	return last
}

// A broker refuses any pattern of records, with any code, in a sink or a repartition
// topic, under both guarantees. The policy gets exactly these records, all others are
// written in order, and the refusals cost one abort.
func TestRefusedRecordsMeetThePolicy(t *testing.T) {
	t.Parallel()
	codes := []*kerr.Error{kerr.InvalidTimestamp, kerr.InvalidRecord, kerr.PolicyViolation, kerr.RecordListTooLarge, kerr.MessageTooLarge, kerr.CorruptMessage, kerr.UnknownServerError}
	for _, tc := range []struct {
		guarantee millrace.Guarantee
		action    processor.Action
		through   bool // a repartition topic
	}{
		{millrace.ExactlyOnce, processor.Skip, false}, {millrace.ExactlyOnce, processor.DeadLetter, false}, {millrace.ExactlyOnce, processor.Retry, false},
		{millrace.AtLeastOnce, processor.Skip, false}, {millrace.AtLeastOnce, processor.DeadLetter, true}, {millrace.AtLeastOnce, processor.Retry, true},
		{millrace.ExactlyOnce, processor.Skip, true}, {millrace.ExactlyOnce, processor.DeadLetter, true},
	} {
		t.Run(fmt.Sprintf("%v %v %v", tc.guarantee, tc.action, tc.through), func(t *testing.T) {
			t.Parallel()
			rng := seedtest.Rand(t, ".")
			for range 2 {
				const partitions = 3
				c := newCluster(t, kfake.SeedTopics(partitions, "in", "out", "dead"), kafkatest.Names())
				code, topic := codes[rng.IntN(len(codes))], "out"
				b := topology.New()
				in := topology.Source(b, "in", serde.String, serde.String)
				if tc.through {
					in, topic = topology.Repartition(in, "again"), "app-again-repartition"
				}
				in.To("out")
				slow := code == kerr.CorruptMessage || code == kerr.UnknownServerError
				n, share := 3000, rng.Float64()*0.02
				if slow || tc.action == processor.Retry {
					n, share = 300, 0.01
				}
				values := goodAndBad(rng, n, share)
				t.Log(code, share)
				c.sendAll("in", partitions, values...)
				c.Refuse(topic, partitions, code, isBad)
				seen := &told{}
				cfg := c.config("app", t.TempDir())
				cfg.Workers, cfg.CommitInterval, cfg.Guarantee, cfg.Hooks = 1, 100*time.Millisecond, tc.guarantee, []millrace.Hook{seen}
				cfg.Errors = processor.ErrorPolicy{Produce: tc.action, DeadLetterTopic: "dead", Exhausted: processor.Skip, Retries: 1, RetryBackoff: time.Millisecond}
				app := run(t, build(t, b), cfg)
				done := func(topic string) bool {
					for p := range int32(partitions) {
						if c.committed("app", topic, p) < c.PartitionInfo(topic, p).HighWatermark-2 || c.committed("app", topic, p) <= 0 {
							return false
						}
					}
					return true
				}
				eventually(t, "the input is processed", func() bool { return done("in") })
				want, bad := make([][]string, partitions), make([][]string, partitions)
				for i, v := range values {
					if strings.HasPrefix(v, "bad") {
						bad[i%partitions] = append(bad[i%partitions], v)
					} else {
						want[i%partitions] = append(want[i%partitions], v)
					}
				}
				all := slices.Concat(want...)
				eventually(t, "the output is there", func() bool {
					return len(slices.Compact(slices.Sorted(slices.Values(slices.Concat(c.values("out", partitions)...))))) >= len(all)
				})
				app.stop()
				check(t, "out", tc.guarantee, c.values("out", partitions), want)
				if tc.action == processor.DeadLetter {
					check(t, "dead", tc.guarantee, c.values("dead", partitions), bad)
				}
				if n := seen.dropped.Load(); n != int64(len(slices.Concat(bad...))) {
					t.Errorf("%d dropped, want %d", n, len(slices.Concat(bad...)))
				}
				if n := seen.failed.Load(); n > 1 {
					t.Errorf("%d commits failed, want one at most", n)
				}
			}
		})
	}
}

// check compares the values of partitions. The values of a key are in one partition of
// the output, whichever it is.
func check(t *testing.T, topic string, guarantee millrace.Guarantee, got, want [][]string) {
	t.Helper()
	// Value i has the key i % partitions.
	byKey := func(values [][]string) map[int][]string {
		m := map[int][]string{}
		for _, v := range slices.Concat(values...) {
			i, _ := strconv.Atoi(strings.TrimLeft(v, "godba"))
			m[i%len(want)] = append(m[i%len(want)], v)
		}
		return m
	}
	g, w := byKey(got), byKey(want)
	for k := range w {
		if guarantee == millrace.AtLeastOnce {
			g[k] = lastOnes(g[k])
		}
		if !slices.Equal(g[k], w[k]) {
			t.Errorf("topic %s, key %d: got %d values, want %d:\n%v\n%v", topic, k, len(g[k]), len(w[k]), g[k], w[k])
		}
	}
}

// Fail names exactly the refused record, and commits the records before it. A restart
// stops there again.
func TestFailStopsAtTheRefusedRecord(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(1, "in", "out"), kafkatest.Names())
			var values []string
			for i := range 41 {
				values = append(values, "good"+strconv.Itoa(i))
			}
			values[20] = "bad20"
			c.sendAll("in", 1, values...)
			faults := c.Refuse("out", 1, kerr.InvalidTimestamp, isBad)
			cfg := c.config("app", t.TempDir())
			cfg.Guarantee = guarantee
			for range 2 {
				err := run(t, passthrough(t), cfg).wait()
				var e *processor.Error
				if !errors.As(err, &e) || !errors.Is(err, kerr.InvalidTimestamp) || e.Topic != "in" || e.Offset != 20 || e.Phase != processor.Produce {
					t.Fatalf("got %v, want the refusal of in/0@20", err)
				}
				if at := c.committed("app", "in", 0); at != 20 {
					t.Errorf("committed %d, want 20", at)
				}
				if got := c.values("out", 1)[0]; !slices.Equal(lastOnes(got), values[:20]) || guarantee == millrace.ExactlyOnce && len(got) != 20 {
					t.Errorf("got %v", got)
				}
			}
			for _, f := range faults {
				f.Remove()
			}
			app := run(t, passthrough(t), cfg)
			eventually(t, "all is committed", func() bool { return c.committed("app", "in", 0) == 41 })
			app.stop()
			if got := c.values("out", 1)[0]; !slices.Equal(lastOnes(got), values) || guarantee == millrace.ExactlyOnce && len(got) != 41 {
				t.Errorf("got %v", got)
			}
		})
	}
}

// If a changelog refuses a row, the error names the last input record that changed the
// row. The records before it are committed.
func TestRefusedRowFails(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		for _, every := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v every=%v", guarantee, every), func(t *testing.T) {
				t.Parallel()
				c := newCluster(t, kfake.SeedTopics(1, "in", "out"), kafkatest.Names())
				b := topology.New()
				in := topology.Source(b, "in", serde.String, serde.String)
				table := topology.GroupByKey(in, "by-key").Reduce("last", func(_, v string) string { return v })
				table.Stream().To("out")
				// The row of k is refused after the records 2 and 4, which a commit
				// merges: 4 is found first, and then 2.
				c.send("in", "a=good", "b=good", "k=bad1", "c=good", "k=bad2", "d=good")
				c.Refuse("app-last-changelog", 1, kerr.InvalidRecord, isBad)
				cfg := c.config("app", t.TempDir())
				cfg.Guarantee, cfg.EveryUpdate, cfg.CommitInterval = guarantee, every, time.Second
				cfg.Errors = processor.ErrorPolicy{Produce: processor.Skip}
				err := run(t, build(t, b), cfg).wait()
				var e *processor.Error
				if !errors.As(err, &e) || !errors.Is(err, kerr.InvalidRecord) || e.Topic != "in" || e.Offset != 2 || !strings.Contains(e.Node, "app-last-changelog") {
					t.Fatalf("got %v, want the refusal of in/0@2", err)
				}
				if at := c.committed("app", "in", 0); at != 2 {
					t.Errorf("committed %d, want 2", at)
				}
				if got := c.values("app-last-changelog", 1)[0]; !slices.Equal(got, []string{"good", "good"}) && guarantee == millrace.ExactlyOnce {
					t.Errorf("changelog: %q", got)
				}
			})
		}
	}
}

var (
	rowOf    = state.KeyValue("row-of", serde.String, serde.String)
	windowOf = windowstore.New("window-of", serde.String, serde.String, time.Hour, time.Hour)
)

// rows keeps values in a store that a processor has opened itself.
type rows struct {
	windowed bool
	put      func(key, value string, at processor.Timestamp) error
}

func (p *rows) Init(ctx processor.Context[string, string]) error {
	if p.windowed {
		p.put = windowstore.Open(ctx, windowOf).Put
		return nil
	}
	s := state.Open(ctx, rowOf)
	p.put = func(key, value string, _ processor.Timestamp) error { return s.Put(key, value) }
	return nil
}

func (p *rows) Process(ctx processor.Context[string, string], r processor.Record[string, string]) error {
	return p.put(r.Key, r.Value, r.Timestamp)
}

// The same for the stores of a processor.
func TestRefusedRowOfAProcessorFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		windowed bool
		spec     processor.StoreSpec
		topic    string
	}{{false, rowOf, "app-row-of-changelog"}, {true, windowOf, "app-window-of-changelog"}} {
		t.Run(tc.topic, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(1, "in"), kafkatest.Names())
			b := topology.New()
			in := topology.Source(b, "in", serde.String, serde.String)
			topology.Process(in, "keep", func() *rows { return &rows{windowed: tc.windowed} }, serde.String, serde.String, tc.spec)
			c.send("in", "a=good", "k=good", "k=bad1", "c=good", "d=good")
			c.Refuse(tc.topic, 1, kerr.PolicyViolation, isBad)
			cfg := c.config("app", t.TempDir())
			cfg.CommitInterval = time.Second
			err := run(t, build(t, b), cfg).wait()
			var e *processor.Error
			if !errors.As(err, &e) || !errors.Is(err, kerr.PolicyViolation) || e.Topic != "in" || e.Offset != 2 {
				t.Fatalf("got %v, want the refusal of in/0@2", err)
			}
			if at := c.committed("app", "in", 0); at != 2 {
				t.Errorf("committed %d, want 2", at)
			}
			if got := c.values(tc.topic, 1)[0]; !slices.Equal(got, []string{"good", "good"}) {
				t.Errorf("changelog: %q", got)
			}
		})
	}
}

// Two tasks of a worker fail, each at its own record. Both commit the records before it.
func TestFailInTwoTasks(t *testing.T) {
	t.Parallel()
	// On the virtual clock, both tasks process their records before the commit.
	virtually(t, func(t *testing.T, c *cluster) {
		c.sendAll("in", 2, "good0", "good1", "good2", "bad3", "bad4", "good5", "good6", "good7")
		c.Refuse("out", 2, kerr.InvalidRecord, isBad)
		cfg := c.config("app", t.TempDir())
		cfg.Workers, cfg.CommitInterval = 1, time.Second
		err := run(t, passthrough(t), cfg).wait()
		var e *processor.Error
		if !errors.As(err, &e) || e.Offset != 2 && e.Offset != 1 {
			t.Fatalf("got %v", err)
		}
		if a, b := c.committed("app", "in", 0), c.committed("app", "in", 1); a != 2 || b != 1 {
			t.Errorf("committed %d and %d, want 2 and 1", a, b)
		}
	}, kfake.SeedTopics(2, "in", "out"), kafkatest.Names())
}

// Records that a punctuator sends, and the merged rows of a table, go to the policy too,
// although no record is being processed.
func TestRefusedOutputOfAFlush(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out", "dead"), kafkatest.Names())
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	topology.GroupByKey(in, "by-key").Reduce("last", func(_, v string) string { return v }).Stream().To("out")
	c.send("in", "a=good1", "b=bad1", "c=good2", "b=bad2", "d=good3")
	c.Refuse("out", 1, kerr.InvalidRecord, isBad)
	cfg := c.config("app", t.TempDir())
	cfg.CommitInterval = time.Second
	cfg.Errors = processor.ErrorPolicy{Produce: processor.DeadLetter, DeadLetterTopic: "dead"}
	app := run(t, build(t, b), cfg)
	if got := c.read("out", 3); !slices.Equal(got, []string{"a=good1", "c=good2", "d=good3"}) {
		t.Errorf("got %v", got)
	}
	if got := c.read("dead", 1); got[0] != "b=bad2" {
		t.Errorf("dead letter %v", got)
	}
	// A later good value of the key is not mistaken for the refused one.
	c.send("in", "b=good4")
	if got := c.read("out", 4); got[3] != "b=good4" {
		t.Errorf("got %v", got)
	}
	app.stop()
}

// A topic that refuses every dead letter does not end the application. A topic that no
// longer exists does.
func TestDeadLetterIsRefused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		code *kerr.Error
		ends bool
		only func(kafkatest.Record) bool
		left int // letters that are accepted
	}{
		{"always", kerr.PolicyViolation, false, func(kafkatest.Record) bool { return true }, 0},
		{"its timestamp", kerr.InvalidTimestamp, false, func(r kafkatest.Record) bool { return r.Timestamp < 1_000_000_000 }, 2},
		{"its value", kerr.InvalidRecord, false, func(r kafkatest.Record) bool { return r.Value != nil }, 2},
		{"gone", kerr.UnknownTopicOrPartition, true, func(kafkatest.Record) bool { return true }, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(1, "in", "out", "dead"), kafkatest.Names())
			c.send("in", "a=1", "b=bad", "c=3", "d=bad")
			c.Refuse("dead", 1, tc.code, tc.only)
			cfg := c.config("app", t.TempDir())
			cfg.Errors = processor.ErrorPolicy{Process: processor.DeadLetter, DeadLetterTopic: "dead"}
			app := run(t, picky(t), cfg)
			if tc.ends {
				if err := app.wait(); !errors.Is(err, tc.code) {
					t.Errorf("got %v", err)
				}
				return
			}
			eventually(t, "all is committed", func() bool { return c.committed("app", "in", 0) == 4 })
			app.stop()
			if got := c.values("out", 1)[0]; !slices.Equal(got, []string{"1", "3"}) {
				t.Errorf("got %v", got)
			}
			if got := c.values("dead", 1)[0]; len(got) != tc.left {
				t.Errorf("%d letters", len(got))
			}
		})
	}
}

// A record of 3 MB that is small when it is compressed is copied, between others, without
// the policy. A record that stays large goes to the policy.
func TestSizesCountAfterCompression(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
			large := strings.Repeat("x", 3<<20)
			cl := c.Client(kgo.ProducerBatchMaxBytes(8 << 20))
			var want []string
			for i, v := range []string{"a", large, "b", "c", large + "y", "d"} {
				r := &kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte(v), Timestamp: time.UnixMilli(int64(i))}
				if err := cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
					t.Fatal(err)
				}
				want = append(want, v)
			}
			seen := &told{}
			cfg := c.config("app", t.TempDir())
			cfg.Guarantee, cfg.Hooks = guarantee, []millrace.Hook{seen}
			app := run(t, passthrough(t), cfg)
			eventually(t, "all is committed", func() bool { return c.committed("app", "in", 0) == 6 })
			app.stop()
			if got := lastOnes(c.values("out", 1)[0]); !slices.Equal(got, want) {
				t.Errorf("%d values", len(got))
			}
			if n := seen.failed.Load(); n > 1 {
				t.Errorf("%d commits failed", n)
			}
		})
	}
}

// Some error codes come only from old brokers or from damaged bytes. They are not blamed
// on a record if the broker accepts it in the next try.
func TestCorruptMessageIsRetried(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in", "out"), kafkatest.Names())
	c.sendAll("in", 1, "good0", "good1", "good2")
	var left atomic.Int64
	left.Store(4)
	c.Refuse("out", 1, kerr.CorruptMessage, func(kafkatest.Record) bool { return left.Add(-1) >= 0 })
	app := run(t, passthrough(t), c.config("app", t.TempDir()))
	if got := c.read("out", 3); len(got) != 3 {
		t.Errorf("got %v", got)
	}
	app.stop()
}

// A timestamp that the topic's configuration excludes goes to the policy without an
// abort.
func TestConfigurationIsKnownBefore(t *testing.T) {
	t.Parallel()
	c := newCluster(t, kfake.SeedTopics(1, "in"))
	for _, topic := range []string{"out", "dead"} {
		if err := c.CreateTopic(topic, 1, map[string]string{"message.timestamp.after.max.ms": "3600000"}); err != nil {
			t.Fatal(err)
		}
	}
	now := time.Now()
	for i, at := range []time.Time{now, now.Add(24 * time.Hour), now} {
		r := &kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte(strconv.Itoa(i)), Timestamp: at}
		if err := c.cl.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	seen := &told{}
	var mu sync.Mutex
	var told []string
	cfg := c.config("app", t.TempDir())
	cfg.Hooks = []millrace.Hook{seen}
	cfg.Errors = processor.ErrorPolicy{DeadLetterTopic: "dead", Handle: func(e *processor.Error) processor.Action {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, e.Error())
		return processor.DeadLetter
	}}
	app := run(t, passthrough(t), cfg)
	eventually(t, "all is committed", func() bool { return c.committed("app", "in", 0) == 3 })
	app.stop()
	if got := c.values("out", 1)[0]; !slices.Equal(got, []string{"0", "2"}) {
		t.Errorf("got %v", got)
	}
	if got := c.values("dead", 1)[0]; !slices.Equal(got, []string{"1"}) {
		t.Errorf("dead letters %v", got)
	}
	if seen.failed.Load() != 0 || len(told) != 1 || !strings.Contains(told[0], "message.timestamp.after.max.ms=3600000") {
		t.Errorf("%d commits failed; told %q", seen.failed.Load(), told)
	}
}
