package millrace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
)

// defaultsFamily is a family of features. Records of "in" have the keys k0 to k4 in turn,
// and values such as "k3/8" with the number of the record. "other" has a row "K" for each
// of these keys.
type defaultsFamily struct {
	build func(b *topology.Builder) topology.Stream[string, string] // the results

	// result is that of a key with this many records, of which the last has this value.
	result func(key string, n int, last string) string

	// stateful says that an input that was created again needs a decision.
	stateful bool
}

func defaultsIn(b *topology.Builder) topology.Stream[string, string] {
	return topology.Source(b, "in", serde.String, serde.String)
}

func defaultsTable(b *topology.Builder, topic string) topology.Table[string, string] {
	return topology.SourceTable(b, topic, serde.String, serde.String)
}

// keyOfValue is the key in a value.
func keyOfValue(v string) string {
	key, _, _ := strings.Cut(v, "/")
	return key
}

func withRow(v, row string) string { return v + "+" + row }

func lastWithRow(_ string, _ int, last string) string { return last + "+K" }

func lastValue(_ string, _ int, last string) string { return last }

func numberOf(_ string, n int, _ string) string { return fmt.Sprint(n) }

func numbers[K any](counts topology.Stream[K, int64]) topology.Stream[K, string] {
	return topology.MapValues(counts, func(n int64) string { return fmt.Sprint(n) }, serde.String)
}

// tally counts the records of each key in a store.
type tally struct {
	spec state.Spec[string, int64]
	rows state.KeyValueStore[string, int64]
}

func (p *tally) Init(ctx processor.Context[string, string]) error {
	p.rows = state.Open(ctx, p.spec)
	return nil
}

func (p *tally) Process(ctx processor.Context[string, string], r processor.Record[string, string]) error {
	n, _, err := p.rows.Get(r.Key)
	if err != nil {
		return err
	}
	if err := p.rows.Put(r.Key, n+1); err != nil {
		return err
	}
	ctx.Forward(processor.NewRecord(r.Key, fmt.Sprint(n+1), r.Timestamp))
	return nil
}

var defaultsFamilies = map[string]defaultsFamily{
	"stateless": {
		build: func(b *topology.Builder) topology.Stream[string, string] {
			return topology.MapValues(defaultsIn(b), func(v string) string { return v }, serde.String)
		},
		result: lastValue,
	},
	"count": {
		build: func(b *topology.Builder) topology.Stream[string, string] {
			return numbers(topology.GroupBy(defaultsIn(b), "by-value", keyOfValue, serde.String).Count("counts").Stream())
		},
		result: numberOf, stateful: true,
	},
	"windows": {
		build: func(b *topology.Builder) topology.Stream[string, string] {
			counts := topology.GroupByKey(defaultsIn(b), "by-key").Window(topology.Tumbling(time.Hour)).Count("counts").Stream()
			return topology.Map(counts, func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
				return processor.NewRecord(r.Key.Key, fmt.Sprint(r.Value), r.Timestamp)
			}, serde.String, serde.String)
		},
		result: numberOf, stateful: true,
	},
	"processor with a store": {
		build: func(b *topology.Builder) topology.Stream[string, string] {
			spec := state.KeyValue("tally", serde.String, serde.Int64)
			return topology.Process(defaultsIn(b), "tally", func() *tally { return &tally{spec: spec} }, serde.String, serde.String, spec)
		},
		result: numberOf, stateful: true,
	},
	"join of a stream with a table": {
		build: func(b *topology.Builder) topology.Stream[string, string] {
			return topology.Join(defaultsIn(b), defaultsTable(b, "other"), withRow, serde.String)
		},
		result: lastWithRow, stateful: true,
	},
	"join of streams": {
		build: func(b *topology.Builder) topology.Stream[string, string] {
			other := topology.Source(b, "other", serde.String, serde.String)
			return topology.JoinWindow(defaultsIn(b), other, "pairs", topology.Within(time.Hour), withRow, serde.String)
		},
		result: lastWithRow, stateful: true,
	},
	"join of tables": {
		build: func(b *topology.Builder) topology.Stream[string, string] {
			return topology.JoinTables(defaultsTable(b, "in"), defaultsTable(b, "other"), withRow, serde.String).Stream()
		},
		result: lastWithRow, stateful: true,
	},
	"foreign-key join": {
		build: func(b *topology.Builder) topology.Stream[string, string] {
			owner := func(v string) (string, bool) { return keyOfValue(v), true }
			return topology.JoinForeign(defaultsTable(b, "in"), defaultsTable(b, "other"), "owned", owner, withRow, serde.String).Stream()
		},
		result: lastWithRow, stateful: true,
	},
	"join with a global table": {
		build: func(b *topology.Builder) topology.Stream[string, string] {
			return topology.JoinGlobal(defaultsIn(b), topology.GlobalTable(b, "other", serde.String, serde.String), keyOfValue, withRow, serde.String)
		},
		result: lastWithRow,
	},
}

// defaultsWorld is a cluster, and processes of one application with the default
// configuration.
type defaultsWorld struct {
	*testing.T
	cluster *kafkatest.Cluster
	family  defaultsFamily
	topo    *topology.Topology
	cl      *kgo.Client // of the test
	sent    int
	want    map[string]string // the last result of each key
	got     map[string]string
}

// defaultsProcess is one run of a process.
type defaultsProcess struct {
	app   *App
	line  *line
	stop  context.CancelFunc
	ended chan struct{}
	err   error
}

func (w *defaultsWorld) start(dir string) *defaultsProcess {
	w.Helper()
	p := &defaultsProcess{line: newLine(w.cluster.Net.DialContext), ended: make(chan struct{})}
	var err error
	p.app, err = New(w.topo, Config{
		ApplicationID: "app", Brokers: w.cluster.ListenAddrs(), StateDir: dir,
		ClientOptions: []kgo.Opt{kgo.Dialer(p.line.DialContext)}, Logger: slog.New(slog.NewTextHandler(w.Output(), nil)),
	})
	if err != nil {
		w.Fatal(err)
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	go func() {
		defer close(p.ended)
		p.err = p.app.Run(ctx)
	}()
	w.Cleanup(func() {
		p.stop()
		<-p.ended
	})
	return p
}

// kill ends a process without a word to the brokers.
func (w *defaultsWorld) kill(p *defaultsProcess) {
	p.line.sever()
	p.stop()
	if s := p.app.started(); s != nil {
		s.Kill()
	}
	<-p.ended
}

// close ends a process in order.
func (w *defaultsWorld) close(p *defaultsProcess) {
	w.Helper()
	p.stop()
	if <-p.ended; p.err != nil {
		w.Fatalf("Run: %v", p.err)
	}
}

// send sends records to "in", and waits until all results are right, for at most a time.
func (w *defaultsWorld) send(n int, within time.Duration) {
	w.Helper()
	for range n {
		key := fmt.Sprint("k", w.sent%5)
		value := fmt.Sprintf("%s/%d", key, w.sent)
		w.produce("in", key, value, time.UnixMilli(int64(w.sent)))
		w.want[key] = w.family.result(key, w.sent/5+1, value)
		w.sent++
	}
	w.await(within)
}

func (w *defaultsWorld) produce(topic, key, value string, at time.Time) {
	w.Helper()
	r := &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value), Timestamp: at}
	if err := w.cl.ProduceSync(w.Context(), r).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// await waits until the last results are those that are wanted.
func (w *defaultsWorld) await(within time.Duration) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), within)
	defer cancel()
	for !maps.Equal(w.got, w.want) {
		fetches := w.cl.PollFetches(ctx)
		if ctx.Err() != nil {
			w.Fatalf("after %v, the results are %v, want %v", within, w.got, w.want)
		}
		fetches.EachRecord(func(r *kgo.Record) { w.got[string(r.Key)] = string(r.Value) })
	}
}

// The default configuration suits each family of features: a start, a rebalance, the
// death of a process, its return, a start without its disk, and an input that is created
// again. Results come within seconds, and after a death within the session timeout and
// the transaction timeout. Other tests set their own timeouts.
func TestDefaults(t *testing.T) {
	t.Parallel()
	for name, family := range defaultsFamilies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			dir := func(name string) string { return filepath.Join(root, name) }
			kafkatest.Virtual(t, func(t *testing.T, c *kafkatest.Cluster) {
				b := topology.New()
				family.build(b).To("out")
				topo, err := b.Build()
				if err != nil {
					t.Fatal(err)
				}
				w := &defaultsWorld{T: t, cluster: c, family: family, topo: topo, want: map[string]string{}, got: map[string]string{}}
				w.cl = c.Client(kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
					kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))
				for i := range 5 {
					w.produce("other", fmt.Sprint("k", i), "K", time.UnixMilli(0))
				}
				const soon, afterDeath = 10 * time.Second, defaultSessionTimeout + defaultTransactionTimeout + 10*time.Second
				first := w.start(dir("first"))
				w.send(20, soon)
				second := w.start(dir("second"))
				for deadline := time.Now().Add(time.Minute); len(first.app.Snapshot().Tasks) == 0 || len(second.app.Snapshot().Tasks) == 0; pause(t.Context(), 50*time.Millisecond) {
					if time.Now().After(deadline) {
						t.Fatal("the processes do not share the tasks")
					}
				}
				w.send(20, soon)
				w.kill(first)
				w.send(20, afterDeath)
				first = w.start(dir("first"))
				w.send(20, soon)
				w.close(second)
				w.send(20, soon)
				w.close(first)
				third := w.start(dir("third"))
				w.send(20, soon)
				w.recreateInput(third, dir("third"))
			}, kfake.SeedTopics(2, "in", "other", "out"))
		})
	}
}

// recreateInput deletes "in" and creates it again while a process runs. Run ends with an
// error. The next start goes on if no state was made from the input, and is refused
// otherwise.
func (w *defaultsWorld) recreateInput(p *defaultsProcess, dir string) {
	w.Helper()
	admin := kadm.NewClient(w.cl)
	if _, err := admin.DeleteTopic(w.Context(), "in"); err != nil {
		w.Fatal(err)
	}
	if _, err := admin.CreateTopic(w.Context(), 2, 1, nil, "in"); err != nil {
		w.Fatal(err)
	}
	if <-p.ended; p.err == nil || !strings.Contains(p.err.Error(), "topic in was deleted and created again while the application runs") {
		w.Fatalf("Run: %v", p.err)
	}
	p = w.start(dir)
	if w.family.stateful {
		if <-p.ended; p.err == nil || !strings.Contains(p.err.Error(), "RecreatedInputs") {
			w.Fatalf("Run: %v", p.err)
		}
		return
	}
	w.cl.PurgeTopicsFromProducing("in")
	w.send(20, 10*time.Second)
	w.close(p)
}

// With the default configuration, a topic that is missing ends Run within seconds, with
// an error that names it.
func TestDefaultsWithAMissingTopic(t *testing.T) {
	t.Parallel()
	for name, family := range defaultsFamilies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			kafkatest.Virtual(t, func(t *testing.T, c *kafkatest.Cluster) {
				b := topology.New()
				family.build(b).To("out")
				topo, err := b.Build()
				if err != nil {
					t.Fatal(err)
				}
				w := &defaultsWorld{T: t, cluster: c, topo: topo}
				began := time.Now()
				p := w.start(dir)
				if <-p.ended; p.err == nil || !strings.Contains(p.err.Error(), "the application reads in") || errors.Is(p.err, context.Canceled) {
					t.Errorf("Run: %v", p.err)
				}
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("after %v", took)
				}
			}, kfake.SeedTopics(2, "other", "out"))
		})
	}
}
