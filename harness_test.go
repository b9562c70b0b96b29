package millrace_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// patience bounds a test's wait for an event. Only a failing test takes that long.
const patience = 2 * time.Minute

// cluster is a fake Kafka, and a client of it that partitions by key as Kafka does.
type cluster struct {
	*kafkatest.Cluster
	t  testing.TB
	cl *kgo.Client
}

func newCluster(t testing.TB, opts ...kfake.Opt) *cluster {
	t.Helper()
	return withClient(t, kafkatest.New(t, opts...))
}

// virtually runs a test on a virtual network and under a virtual clock: the result does
// not depend on the speed of the machine.
func virtually(t *testing.T, test func(t *testing.T, c *cluster), opts ...kfake.Opt) {
	t.Helper()
	kafkatest.Virtual(t, func(t *testing.T, c *kafkatest.Cluster) { test(t, withClient(t, c)) }, opts...)
}

func withClient(t testing.TB, c *kafkatest.Cluster) *cluster {
	return &cluster{c, t, c.Client(kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))}
}

// send produces records "key=value" with timestamps one second apart.
func (c *cluster) send(topic string, records ...string) {
	c.t.Helper()
	for i, r := range records {
		var key, value string
		if _, err := fmt.Sscanf(r, "%s", &key); err != nil {
			c.t.Fatal(err)
		}
		for j := range r {
			if r[j] == '=' {
				key, value = r[:j], r[j+1:]
				break
			}
		}
		record := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value), Timestamp: time.UnixMilli(int64(i+1) * 1000)}
		if err := c.cl.ProduceSync(context.Background(), record).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// read returns the first n committed records of a topic, as "key=value", in order of
// arrival.
func (c *cluster) read(topic string, n int) []string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cl := c.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(50*time.Millisecond))
	defer cl.Close()
	var got []string
	for len(got) < n {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			c.t.Fatalf("topic %s: got %d records, want %d: %v", topic, len(got), n, got)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Key)+"="+string(r.Value)) })
	}
	return got
}

// committed returns the committed offset of a partition, or -1 if there is none.
func (c *cluster) committed(group, topic string, partition int32) int64 {
	info := c.GroupInfo(group)
	if info == nil {
		return -1
	}
	at, ok := info.Commits[topic][partition]
	if !ok {
		return -1
	}
	return at.Offset
}

// running is an application while Run is working.
type running struct {
	*millrace.App
	t      testing.TB
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// config is the configuration of the tests. Its timeouts are longer than a busy machine
// can delay a process. If a test on the loopback interface waits for the end of a session
// or of a transaction, it sets these timeouts itself.
func (c *cluster) config(id, dir string) millrace.Config {
	cfg := millrace.Config{
		ApplicationID: id, Brokers: c.ListenAddrs(), StateDir: dir, Workers: 2, CommitInterval: 20 * time.Millisecond,
		SessionTimeout: time.Minute, TransactionTimeout: time.Minute, CloseTimeout: patience, ClientOptions: c.Dial(),
	}
	if t, ok := c.t.(*testing.T); ok { // shown if the test fails
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if os.Getenv("MILLRACE_LOG") != "" {
		cfg.ClientOptions = append(cfg.ClientOptions, kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelDebug, func() string {
			return time.Now().Format("05.000 ")
		})))
	}
	return cfg
}

func run(t testing.TB, topo *topology.Topology, cfg millrace.Config) *running {
	t.Helper()
	return runWith(t, topo, cfg, func(*millrace.App) {})
}

// runWith is run with a function that changes the application before it runs.
func runWith(t testing.TB, topo *topology.Topology, cfg millrace.Config, change func(*millrace.App)) *running {
	t.Helper()
	app, err := millrace.New(topo, cfg)
	if err != nil {
		t.Fatal(err)
	}
	change(app)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{App: app, t: t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = app.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-r.done
	})
	return r
}

// stop ends the application gracefully.
func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	if err := r.wait(); err != nil {
		r.t.Fatalf("Run: %v", err)
	}
}

// wait returns Run's error.
func (r *running) wait() error {
	r.t.Helper()
	select {
	case <-r.done:
		return r.err
	case <-time.After(patience):
		r.t.Fatal("Run does not return")
		return nil
	}
}

// states receives the states of an application.
type states struct {
	mu      sync.Mutex
	seen    []millrace.State
	changed chan struct{}
}

func newStates() *states { return &states{changed: make(chan struct{}, 100)} }

func (s *states) OnStateChange(_, to millrace.State) {
	s.mu.Lock()
	s.seen = append(s.seen, to)
	s.mu.Unlock()
	s.changed <- struct{}{}
}

// await waits for a state.
func (s *states) await(t testing.TB, want millrace.State) {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		for _, state := range s.seen {
			if state == want {
				s.mu.Unlock()
				return
			}
		}
		s.mu.Unlock()
		select {
		case <-s.changed:
		case <-deadline:
			t.Fatalf("never %v", want)
		}
	}
}

func build(t testing.TB, b *topology.Builder) *topology.Topology {
	t.Helper()
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// passthrough copies "in" to "out".
func passthrough(t testing.TB) *topology.Topology {
	b := topology.New()
	topology.Source(b, "in", serde.String, serde.String).To("out")
	return build(t, b)
}

// counting counts the values of "in" over a repartition topic, and sends each count to
// "out".
func counting(t testing.TB) (*topology.Topology, topology.Table[string, int64]) {
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	table := topology.GroupBy(in, "by-value", func(v string) string { return v }, serde.String).Count("counts", topology.EveryUpdate())
	topology.MapValues(table.Stream(), func(n int64) string { return fmt.Sprint(n) }, serde.String).To("out")
	return build(t, b), table
}

type record = processor.Record[string, []byte]

// logTo is a logger of all levels that writes to w.
func logTo(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelInfo}))
}
