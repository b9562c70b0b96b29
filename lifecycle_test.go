package millrace_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// The context ends at any point of the start. Run returns without an error, and the next
// run continues.
func TestCancelledAtEachPointOfTheStart(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		topo, _ := counting(t)
		dir := t.TempDir()
		app := run(t, topo, c.config("app", dir))
		c.send("in", values(0, 20)...)
		c.read("out", 20)
		app.stop()
		var left atomic.Int64 // requests until something is cancelled
		var now atomic.Pointer[context.CancelFunc]
		c.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			if cancel := now.Load(); cancel != nil && left.Add(-1) <= 0 {
				(*cancel)()
			}
			return nil, nil, false
		})
		for n := range 20 {
			cfg := c.config("app", dir)
			if n%2 == 1 {
				cfg.StateDir = t.TempDir() // so that the run restores
			}
			ctx, cancel := context.WithCancel(context.Background())
			left.Store(int64(4 * n))
			now.Store(&cancel)
			if n == 0 {
				cancel()
			}
			app, err := millrace.New(topo, cfg)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- app.Run(ctx) }()
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("cancelled at request %d: %v", 4*n, err)
				}
			case <-time.After(patience):
				t.Fatalf("cancelled at request %d: Run does not return", 4*n)
			}
			cancel()
			if app.State() != millrace.Closed {
				t.Errorf("cancelled at request %d: state %v", 4*n, app.State())
			}
		}
		now.Store(nil)
		app = run(t, topo, c.config("app", dir))
		c.send("in", values(20, 20)...)
		checkCounts(t, c.read("out", 40))
		app.stop()
	}, kfake.SeedTopics(2, "in", "out"))
}

// Processes with two versions of the topology are in one group. The processes with the
// leader's version work. The others take over when the last of these has left.
func TestRollOut(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		older, _ := counting(t)
		b := topology.New()
		in := topology.Source(b, "in", serde.String, serde.String)
		table := topology.GroupBy(in, "by-value", func(v string) string { return v }, serde.String).Count("counts", topology.EveryUpdate())
		topology.MapValues(table.Stream(), func(n int64) string { return fmt.Sprint(n) }, serde.String).To("out")
		topology.GroupByKey(topology.Source(b, "in2", serde.String, serde.String), "by-key").Count("more")
		newer := build(t, b)

		dirs := []string{t.TempDir(), t.TempDir()}
		var apps []*running
		for _, dir := range dirs {
			apps = append(apps, run(t, older, c.config("app", dir)))
		}
		sent := 0
		send := func() {
			t.Helper()
			c.send("in", values(sent, 20)...)
			sent += 20
			checkCounts(t, c.read("out", sent))
		}
		send()
		for i, dir := range dirs {
			apps[i].stop()
			apps[i] = run(t, newer, c.config("app", dir))
			send()
		}
		eventually(t, "all tasks run in the new version", func() bool {
			return len(apps[0].Snapshot().Tasks)+len(apps[1].Snapshot().Tasks) == 6 && len(apps[0].Snapshot().Tasks) == 3
		})
		send()
		for _, app := range apps {
			app.stop()
		}
	}, kfake.SeedTopics(2, "in", "in2", "out"))
}

// One process runs 256 partitions, each with a store, and starts again with them.
func TestManyPartitions(t *testing.T) {
	t.Parallel()
	const n = 256
	c := newCluster(t, kfake.SeedTopics(n, "in"), kfake.SeedTopics(1, "out"))
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	table := topology.GroupByKey(in, "by-key").Count("counts", topology.EveryUpdate())
	topology.MapValues(table.Stream(), func(n int64) string { return fmt.Sprint(n) }, serde.String).To("out")
	topo := build(t, b)
	wiped := &wipes{}
	cfg := c.config("app", t.TempDir())
	cfg.Hooks = []millrace.Hook{wiped}
	for i := range 2 {
		for key := range n {
			r := &kgo.Record{Topic: "in", Key: fmt.Append(nil, "k", key), Value: []byte("v"), Timestamp: time.UnixMilli(1)}
			c.cl.Produce(context.Background(), r, nil)
		}
		if err := c.cl.Flush(context.Background()); err != nil {
			t.Fatal(err)
		}
		app := run(t, topo, cfg)
		checkCounts(t, c.read("out", n*(i+1)))
		if got := len(app.Snapshot().Tasks); got != n {
			t.Errorf("%d tasks", got)
		}
		app.stop()
	}
	if wiped.n.Load() > 0 {
		t.Error("state was wiped")
	}
}

// assignments reports the first tasks that are assigned.
type assignments struct {
	once sync.Once
	came chan struct{}
}

func (a *assignments) OnRebalance(r millrace.Rebalance) {
	if len(r.Assigned) > 0 {
		a.once.Do(func() { close(a.came) })
	}
}

// Tasks are revoked right after they were assigned, before they have started. No record
// is lost or doubled.
func TestFastRebalances(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, c *cluster) {
		topo, _ := counting(t)
		stays := run(t, topo, c.config("app", t.TempDir()))
		c.send("in", values(0, 10)...)
		c.read("out", 10)
		sent := 10
		for range 5 {
			first := &assignments{came: make(chan struct{})}
			cfg := c.config("app", t.TempDir())
			cfg.Hooks = []millrace.Hook{first}
			goes, hurries := run(t, topo, cfg), run(t, topo, c.config("app", t.TempDir()))
			c.send("in", values(sent, 10)...)
			sent += 10
			select {
			case <-first.came:
			case <-time.After(patience):
				t.Fatal("it gets no tasks")
			}
			goes.stop()
			hurries.stop() // at any point of its start
		}
		checkCounts(t, c.read("out", sent))
		stays.stop()
	}, kfake.SeedTopics(4, "in", "out"))
}

const changelog = "app-counts-changelog"

// deleteAll deletes all records of the changelog.
func (c *cluster) deleteAll() {
	c.t.Helper()
	admin := kadm.NewClient(c.cl)
	ends, err := admin.ListEndOffsets(context.Background(), changelog)
	if err == nil {
		_, err = admin.DeleteRecords(context.Background(), ends.Offsets())
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// shorten makes the changelog seem to be empty while still returns true.
func (c *cluster) shorten(still func() bool) {
	c.ControlKey(kmsg.ListOffsets.Int16(), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := r.(*kmsg.ListOffsetsRequest)
		if req.Topics[0].Topic != changelog || req.Topics[0].Partitions[0].Timestamp != -1 || !still() {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		topic, partition := kmsg.NewListOffsetsResponseTopic(), kmsg.NewListOffsetsResponseTopicPartition()
		topic.Topic, partition.Timestamp, partition.Offset = changelog, -1, 0
		topic.Partitions = append(topic.Partitions, partition)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
}

// windows counts the values of "in" per hour.
func windows(t *testing.T) *topology.Topology {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	grouped := topology.GroupBy(in, "by-value", func(v string) string { return v }, serde.String)
	counts := grouped.Window(topology.Tumbling(time.Hour)).Count("counts", topology.EveryUpdate())
	topology.MapValues(counts.Stream(), func(n int64) string { return fmt.Sprint(n) }, serde.String).To("out")
	return build(t, b)
}

// State is wiped only for the known reasons, and each wipe is reported. The count
// afterwards shows which state was restored.
func TestReasonsToWipe(t *testing.T) {
	t.Parallel()
	counts, _ := counting(t)
	for _, tc := range []struct {
		name  string
		topo  *topology.Topology
		spoil func(*cluster, *reasons)
		want  string // reason, empty if the state is kept
		count string
	}{
		{"nothing", counts, func(*cluster, *reasons) {}, "", "=3"},
		{"before the start", counts, func(c *cluster, _ *reasons) { c.deleteAll() }, "which begins at", "=1"},
		{"windows before the start", windows(t), func(c *cluster, _ *reasons) { c.deleteAll() }, "", "=1"},
		{"windows that the broker deletes by its clock", windows(t), func(c *cluster, _ *reasons) {
			c.alter(changelog, "retention.ms", "90000000")
			c.deleteAll()
		}, "", "=2"},
		{"old windows behind the end", windows(t), func(c *cluster, _ *reasons) { c.expireDeletions(changelog) }, "delete.retention.ms", "=3"},
		{"behind the end", counts, func(c *cluster, r *reasons) { c.shorten(func() bool { return len(r.all()) == 0 }) }, "Kafka has lost records", "=3"},
		{"created again", counts, func(c *cluster, _ *reasons) {
			if err := c.DeleteTopic(changelog); err != nil {
				c.t.Fatal(err)
			}
		}, "deleted and created again", "=1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, kfake.SeedTopics(1, "in", "out"))
			told := &reasons{}
			first, second := c.config("app", t.TempDir()), c.config("app", t.TempDir())
			first.Hooks = []millrace.Hook{told}
			// The second process continues where the first one has stopped. The first one
			// is then behind.
			for i, cfg := range []millrace.Config{first, second} {
				app := run(t, tc.topo, cfg)
				c.send("in", "a=x")
				c.read("out", i+1)
				app.stop()
			}
			tc.spoil(c, told)
			app := run(t, tc.topo, first)
			c.send("in", "a=x")
			if got := c.read("out", 3); !strings.HasSuffix(got[2], tc.count) {
				t.Errorf("the count goes on at %s, want %s", got[2], tc.count)
			}
			app.stop()
			switch got := told.all(); {
			case tc.want == "" && len(got) > 0, tc.want != "" && len(got) != 1, tc.want != "" && !strings.Contains(got[0], tc.want):
				t.Errorf("wiped for %q, want %q", got, tc.want)
			}
		})
	}
}

// reasons collects the reasons for which state was wiped.
type reasons struct {
	mu   sync.Mutex
	list []string
}

func (r *reasons) OnStateWiped(w millrace.StateWiped) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, w.Reason)
}

func (r *reasons) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}
