package millrace_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// pricing joins "orders" with the global table "prices", and sends "order:price" to
// "out".
func pricing(t testing.TB, opts ...topology.GlobalOption) (*topology.Topology, topology.Global[string, string]) {
	t.Helper()
	b := topology.New()
	prices := topology.GlobalTable(b, "prices", serde.String, serde.String, opts...)
	orders := topology.Source(b, "orders", serde.String, serde.String)
	topology.JoinGlobal(orders, prices, func(item string) string { return item },
		func(item, price string) string { return item + ":" + price }, serde.String).To("out")
	return build(t, b), prices
}

// globalProgress keeps the first and the last progress of each partition of a global
// table.
type globalProgress struct {
	mu    sync.Mutex
	first map[int32]int64
	done  map[int32]bool
	wiped []string
}

func newGlobalProgress() *globalProgress {
	return &globalProgress{first: map[int32]int64{}, done: map[int32]bool{}}
}

func (g *globalProgress) OnRestoreProgress(p millrace.RestoreProgress) {
	if !p.Task.Global() {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.first[p.Task.Partition]; !ok {
		g.first[p.Task.Partition] = p.Position
	}
	g.done[p.Task.Partition] = g.done[p.Task.Partition] || p.Done
}

func (g *globalProgress) OnStateWiped(w millrace.StateWiped) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.Task.Global() {
		g.wiped = append(g.wiped, w.Reason)
	}
}

// from returns where the reading began, summed over the partitions.
func (g *globalProgress) from(t testing.TB) (sum int64) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for p, at := range g.first {
		if sum += at; !g.done[p] {
			t.Errorf("partition %d is not done", p)
		}
	}
	return sum
}

// Each process has the rows of all partitions before it processes a record, and applies
// new ones while it runs. Queries are answered by any process.
func TestGlobalTable(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		topo, prices := pricing(t)
		var orders []string
		want := map[string]bool{}
		for i := range 40 {
			c.send("prices", fmt.Sprint("item", i, "=", i))
			orders = append(orders, fmt.Sprint("order", i, "=item", i))
			want[fmt.Sprint("order", i, "=item", i, ":", i)] = true
		}
		c.send("orders", orders...)
		var apps []*running
		log := &lines{}
		for range 2 {
			progress := newGlobalProgress()
			cfg := c.config("app", t.TempDir())
			cfg.Hooks, cfg.Logger = []millrace.Hook{progress}, logTo(log)
			apps = append(apps, run(t, topo, cfg))
			eventually(t, "it runs", func() bool { return apps[len(apps)-1].State() == millrace.Running })
			if at := progress.from(t); at != 0 || len(progress.first) != 3 {
				t.Errorf("began at %v", progress.first)
			}
		}
		for _, r := range c.read("out", 40) {
			if !want[r] {
				t.Errorf("unexpected %s", r)
			}
		}
		if log.has("a tool has set the offset") {
			t.Error("the first start of a global table looks like a tool's work")
		}
		eventually(t, "both have tasks", func() bool { return len(apps[0].Snapshot().Tasks) == 1 && len(apps[1].Snapshot().Tasks) == 1 })
		c.send("prices", "item1=new", "item40=40")
		for i, app := range apps {
			eventually(t, "the update arrives", func() bool {
				v, ok, err := millrace.Get(context.Background(), app.App, prices, "item1")
				last, _, _ := millrace.Get(context.Background(), app.App, prices, "item40")
				return v == "new" && ok && err == nil && last == "40"
			})
			n := 0
			for _, err := range millrace.Range(context.Background(), app.App, prices, nil, nil) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != 41 {
				t.Errorf("process %d has %d rows", i, n)
			}
			eventually(t, "the snapshot has the positions", func() bool {
				s := app.Snapshot().Globals
				return len(s) == 1 && s[0].Store == "prices" && !s[0].Restoring && applied(app) == 42
			})
		}
		c.send("orders", "again=item1", "again=item40")
		if got := c.read("out", 42)[40:]; !slices.Equal(slices.Sorted(slices.Values(got)), []string{"again=item1:new", "again=item40:40"}) {
			t.Errorf("got %v", got)
		}
		for _, app := range apps {
			app.stop()
		}
	}, kfake.SeedTopics(2, "orders", "out"), kfake.SeedTopics(3, "prices"))
}

// applied returns how many offsets of its topic the only global store has applied. It is
// 0 before the application has opened the store.
func applied(app *running) (sum int64) {
	for _, g := range app.Snapshot().Globals {
		for _, p := range g.Partitions {
			sum += p.Committed
		}
	}
	return sum
}

// If the disk fits the topic, a restart reads only new records. Otherwise it reads the
// whole topic.
func TestGlobalTableAfterRestart(t *testing.T) {
	t.Parallel()
	const n = 20
	item := func(i int) string { return fmt.Sprint("item", i, "=", i) }
	fill := func(c *cluster, from, to int) {
		for i := from; i < to; i++ {
			c.send("prices", item(i))
		}
	}
	for name, test := range map[string]struct {
		opts    []topology.GlobalOption
		between func(t *testing.T, c *cluster, dir *string)
		from    int64  // where the second run begins, 0 for the start
		wiped   string // a part of the reason
	}{
		"kept":      {between: func(_ *testing.T, c *cluster, _ *string) { fill(c, n, n+5) }, from: n},
		"in memory": {opts: []topology.GlobalOption{topology.InMemory()}, between: func(_ *testing.T, c *cluster, _ *string) { fill(c, n, n+5) }},
		"lost": {between: func(t *testing.T, c *cluster, dir *string) {
			fill(c, n, n+5)
			*dir = t.TempDir()
		}},
		"deleted and created again": {wiped: "deleted and created again", between: func(t *testing.T, c *cluster, _ *string) {
			c.recreate("prices", 1)
			fill(c, 5, n+5)
		}},
		"begins later": {wiped: "deletions in between may be gone", between: func(t *testing.T, c *cluster, _ *string) {
			fill(c, 0, n+5)
			c.trim("prices", n+n)
		}},
		"behind and old": {wiped: "delete.retention.ms", between: func(_ *testing.T, c *cluster, _ *string) {
			fill(c, n, n+5)
			time.Sleep(48 * time.Hour) // virtual
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				topo, prices := pricing(t, test.opts...)
				dir := t.TempDir()
				fill(c, 0, n)
				app := run(t, topo, c.config("app", dir))
				c.send("orders", "first=item7")
				c.read("out", 1)
				app.stop()
				test.between(t, c, &dir)
				progress := newGlobalProgress()
				cfg := c.config("app", dir)
				cfg.Hooks = []millrace.Hook{progress}
				app = run(t, topo, cfg)
				c.send("orders", fmt.Sprint("second=item", n+4))
				if got := c.read("out", 2)[1]; got != fmt.Sprint("second=item", n+4, ":", n+4) {
					t.Errorf("got %s", got)
				}
				start := test.from
				if strings.Contains(test.wiped, "in between") {
					start = n + n
				}
				if at := progress.from(t); at != start {
					t.Errorf("read from %d, want %d", at, start)
				}
				if got := strings.Join(progress.wiped, ";"); test.wiped == "" && got != "" || !strings.Contains(got, test.wiped) {
					t.Errorf("wiped: %q", got)
				}
				_, kept, err := millrace.Get(context.Background(), app.App, prices, "item3")
				if gone := test.wiped != "" && test.wiped != "delete.retention.ms"; err != nil || kept == gone {
					t.Errorf("item3 is there: %v, %v", kept, err)
				}
				app.stop()
			}, kfake.SeedTopics(1, "orders", "out", "prices"))
		})
	}
}

// trim deletes the records of the first partition below an offset.
func (c *cluster) trim(topic string, below int64) {
	c.t.Helper()
	var before kadm.Offsets
	before.AddOffset(topic, 0, below, -1)
	if _, err := kadm.NewClient(c.cl).DeleteRecords(context.Background(), before); err != nil {
		c.t.Fatal(err)
	}
}

// Updates and joins run at the same time. No join sees a part of an update, or an older
// price than an earlier join.
func TestGlobalTableUpdatedWhileJoining(t *testing.T) {
	t.Parallel()
	const rounds, readers = 150, 4
	c := newCluster(t, kfake.SeedTopics(readers, "orders"), kfake.SeedTopics(1, "out", "prices"))
	topo, _ := pricing(t)
	app := run(t, topo, c.config("app", t.TempDir()))
	var orders []string
	for i := range rounds {
		// The tasks join while the price changes.
		c.cl.Produce(context.Background(), &kgo.Record{Topic: "prices", Key: []byte("tea"), Value: fmt.Appendf(nil, "%04d-%04d", i, i)}, nil)
		for p := range readers {
			c.cl.Produce(context.Background(), &kgo.Record{Topic: "orders", Key: fmt.Append(nil, "o", p), Value: []byte("tea")}, nil)
			orders = append(orders, "tea")
		}
		if i == 0 || i%30 == 0 {
			if err := c.cl.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the price is there", func() bool { return applied(app) > int64(i) })
		}
	}
	if err := c.cl.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.send("orders", "last=tea")
	// Orders before the first price have no result.
	last := map[string]string{}
	eventually(t, "all orders are processed", func() bool {
		var lag, seen int64
		for _, task := range app.Snapshot().Tasks {
			for _, p := range task.Partitions {
				lag += p.Lag
				seen += p.Committed
			}
		}
		return lag == 0 && seen == int64(len(orders)+1)
	})
	for _, r := range c.all("out") {
		key, value, _ := strings.Cut(r, "=tea:")
		first, second, _ := strings.Cut(value, "-")
		if first != second || value < last[key] {
			t.Errorf("%s after %s", r, last[key])
		}
		last[key] = value
	}
	if len(last) < readers {
		t.Errorf("results of %v only", slices.Sorted(maps.Keys(last)))
	}
	app.stop()
}

// all returns the committed records that a topic has now.
func (c *cluster) all(topic string) []string {
	c.t.Helper()
	ends, err := kadm.NewClient(c.cl).ListCommittedOffsets(context.Background(), topic)
	if err != nil {
		c.t.Fatal(err)
	}
	n := int64(0)
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	var got []string
	cl := c.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	for at := int64(0); at < n; {
		cl.PollFetches(context.Background()).EachRecord(func(r *kgo.Record) {
			if at++; !r.Attrs.IsControl() {
				got = append(got, string(r.Key)+"="+string(r.Value))
			}
		})
	}
	return got
}

// Records that cannot be decoded, under each policy. They are met again in another
// process and after the loss of a disk.
func TestBadRecordsOfGlobalTable(t *testing.T) {
	t.Parallel()
	number := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	topo := func(t *testing.T) *topology.Topology {
		b := topology.New()
		prices := topology.GlobalTable(b, "prices", serde.String, serde.Int64)
		orders := topology.Source(b, "orders", serde.String, serde.String)
		topology.JoinGlobal(orders, prices, func(item string) string { return item }, func(item string, price int64) string { return fmt.Sprint(item, price) }, serde.String).To("out")
		return build(t, b)
	}
	for name, policy := range map[string]processor.ErrorPolicy{
		"fail": {}, "skip": {Decode: processor.Skip}, "dead letter": {Decode: processor.DeadLetter, DeadLetterTopic: "dead"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				ctx := context.Background()
				for _, r := range []*kgo.Record{{Key: []byte("tea"), Value: []byte("three")}, {Value: number(7)}, {Key: []byte("milk"), Value: number(2)}} {
					r.Topic = "prices"
					if err := c.cl.ProduceSync(ctx, r).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
				cfg := c.config("app", t.TempDir())
				cfg.Errors = policy
				app := run(t, topo(t), cfg)
				if name == "fail" {
					var failed *processor.Error
					if err := app.wait(); !errors.As(err, &failed) || failed.Topic != "prices" || failed.Offset != 0 || !strings.Contains(err.Error(), "global store prices") {
						t.Errorf("Run: %v", err)
					}
					return
				}
				c.send("orders", "o=milk", "o=tea", "o=milk")
				c.read("out", 2)
				if got := app.Snapshot(); got.Dropped != 2 || got.Errors != 1 {
					t.Errorf("dropped %d, errors %d", got.Dropped, got.Errors)
				}
				app.stop()
				cfg.StateDir = t.TempDir()
				app = run(t, topo(t), cfg)
				c.send("orders", "o=milk")
				c.read("out", 3)
				app.stop()
				if name == "dead letter" {
					if got := c.all("dead"); !slices.Equal(got, []string{"tea=three", "tea=three"}) {
						t.Errorf("letters %v", got)
					}
				}
			}, kfake.SeedTopics(1, "orders", "out", "prices", "dead"))
		})
	}
}

// If a global topic is created again or gets more partitions while the application runs,
// Run returns an error that says what to do.
func TestGlobalTopicChanges(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(t *testing.T, c *cluster)
		want   string
	}{
		"created again": {func(t *testing.T, c *cluster) { c.recreate("prices", 1) }, "restart the application; it then reads the global store from the new topic"},
		"more partitions": {func(t *testing.T, c *cluster) {
			if _, err := kadm.NewClient(c.cl).UpdatePartitions(context.Background(), 3, "prices"); err != nil {
				t.Fatal(err)
			}
		}, "it then reads the global store from all of them"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				topo, _ := pricing(t)
				c.send("prices", "tea=3")
				dir := t.TempDir()
				app := run(t, topo, c.config("app", dir))
				c.send("orders", "o=tea")
				c.read("out", 1)
				test.change(t, c)
				if err := app.wait(); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("Run: %v", err)
				}
				for i := range 6 {
					c.send("prices", fmt.Sprint("item", i, "=new"))
				}
				app = run(t, topo, c.config("app", dir))
				for i := range 6 {
					c.send("orders", fmt.Sprint("o=item", i))
				}
				if got := c.read("out", 7); got[6] != "o=item5:new" {
					t.Errorf("got %v", got)
				}
				app.stop()
			}, kfake.SeedTopics(1, "orders", "out", "prices"))
		})
	}
}
