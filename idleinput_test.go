package millrace

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// idleWorld runs an application that counts records by minute. A window closes when the
// input has been idle for 20 seconds or more.
type idleWorld struct {
	*testing.T
	cluster *kafkatest.Cluster
	cl      *kgo.Client
	line    *line // to all brokers
	dir     string

	repartition bool // count behind a repartition topic
	bulky       bool // the application reads the topic bulk too

	gate chan struct{} // that the records of bulk wait for

	stop func()
	app  *App
}

func inIdleWorld(t *testing.T, guarantee Guarantee, repartition bool, f func(*idleWorld)) {
	inWorld(t, idleWorld{repartition: repartition}, guarantee, f)
}

// inWorld is inIdleWorld with a world that has some fields set.
func inWorld(t *testing.T, w idleWorld, guarantee Guarantee, f func(*idleWorld)) {
	w.dir = t.TempDir()
	kafkatest.Virtual(t, func(t *testing.T, cluster *kafkatest.Cluster) {
		w.T, w.cluster, w.cl, w.line = t, cluster, cluster.Client(), newLine(cluster.Net.DialContext)
		w.gate = make(chan struct{})
		w.run(guarantee)
		f(&w)
		w.stop()
	}, kfake.NumBrokers(2), kfake.SeedTopics(1, "in", "out", "bulk"))
}

// run starts the application, also again.
func (w *idleWorld) run(guarantee Guarantee) {
	w.Helper()
	b := topology.New()
	in := topology.Source(b, "in", serde.String, serde.String)
	grouped := topology.GroupByKey(in, "by-key")
	if w.repartition {
		grouped = topology.GroupBy(in, "by-value", func(v string) string { return v }, serde.String)
	}
	counts := grouped.Window(topology.Tumbling(time.Minute)).Count("counts", topology.IdleAfter(20*time.Second)).Final()
	topology.Map(counts.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
		return processor.NewRecord(r.Key.Key, fmt.Sprintf("%d in minute %d", r.Value, r.Key.Window.Start/60_000), r.Timestamp)
	}, serde.String, serde.String).To("out")
	workers := 1
	if w.bulky {
		workers = 2
		topology.Source(b, "bulk", serde.String, serde.Bytes).ForEach(func(processor.Record[string, []byte]) error { <-w.gate; return nil })
	}
	topo, err := b.Build()
	if err != nil {
		w.Fatal(err)
	}
	w.app, err = New(topo, Config{
		ApplicationID: "app", Brokers: w.cluster.ListenAddrs(), StateDir: w.dir, Workers: workers, Guarantee: guarantee, BufferMemory: minBufferMemory,
		SessionTimeout: 5 * time.Minute, TransactionTimeout: 10 * time.Minute,
		Logger:        slog.New(slog.NewTextHandler(w.Output(), nil)),
		ClientOptions: []kgo.Opt{kgo.Dialer(w.line.DialContext)},
	})
	if err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.app.Run(ctx) }()
	w.stop = func() {
		w.Helper()
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("Run: %v", err)
		}
	}
	<-time.After(10 * time.Second) // of the virtual clock, to start
}

// send sends a record with a timestamp in seconds.
func (w *idleWorld) send(second int64) {
	w.Helper()
	r := &kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte("v"), Timestamp: time.Unix(second, 0)}
	if err := w.cl.ProduceSync(w.Context(), r).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// results returns the values of all committed records of the topic out.
func (w *idleWorld) results() (values []string) {
	w.Helper()
	cl := w.cluster.Client(kgo.ConsumeTopics("out"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.FetchMaxWait(50*time.Millisecond))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(w.Context(), 500*time.Millisecond)
	defer cancel()
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}

func (w *idleWorld) expect(when string, want ...string) {
	w.Helper()
	if got := w.results(); !slices.Equal(got, want) {
		w.Errorf("%s: out %q, want %q", when, got, want)
	}
}

// TestIdleInput: windows close without records, once. The stream time that has closed
// them survives a restart with a lost disk, so that a late record stays late.
func TestIdleInput(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []Guarantee{ExactlyOnce, AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			inIdleWorld(t, guarantee, guarantee == ExactlyOnce, func(w *idleWorld) {
				w.send(50)
				w.send(55)
				<-time.After(17 * time.Second)
				w.expect("before")
				<-time.After(5 * time.Second)
				w.expect("after", "2 in minute 0")
				w.stop()
				w.dir = w.TempDir()
				w.run(guarantee)
				w.send(59)
				<-time.After(5 * time.Minute)
				w.expect("after a late record", "2 in minute 0")
				w.send(61)
				<-time.After(65 * time.Second)
				w.expect("after the next window", "2 in minute 0", "1 in minute 1")
			})
		})
	}
}

// TestIdleTimeEndsInAnOutage: while Kafka cannot be reached, nobody knows whether there
// are records. The idle time begins again afterwards.
func TestIdleTimeEndsInAnOutage(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]struct{ begin, end func(*line) }{
		"killed":  {(*line).sever, (*line).mend},
		"dropped": {(*line).freeze, (*line).thaw},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inIdleWorld(t, ExactlyOnce, true, func(w *idleWorld) {
				w.send(50)
				<-time.After(15 * time.Second)
				outage.begin(w.line)
				<-time.After(60 * time.Second)
				w.expect("during the outage")
				outage.end(w.line)
				<-time.After(10 * time.Second)
				w.send(55) // from a producer that has waited
				<-time.After(15 * time.Second)
				w.expect("after the outage")
				<-time.After(15 * time.Second)
				w.expect("half a minute later", "2 in minute 0")
			})
		})
	}
}

// TestOpenTransactionIsNotIdle: records of an open transaction are on their way.
func TestOpenTransactionIsNotIdle(t *testing.T) {
	t.Parallel()
	inIdleWorld(t, ExactlyOnce, false, func(w *idleWorld) {
		w.send(50)
		<-time.After(5 * time.Second)
		producer := w.cluster.Client(kgo.TransactionalID("other"), kgo.TransactionTimeout(10*time.Minute))
		if err := producer.BeginTransaction(); err != nil {
			w.Fatal(err)
		}
		r := &kgo.Record{Topic: "in", Partition: 0, Key: []byte("k"), Value: []byte("v"), Timestamp: time.Unix(55, 0)}
		if err := producer.ProduceSync(w.Context(), r).FirstErr(); err != nil {
			w.Fatal(err)
		}
		<-time.After(time.Minute)
		w.expect("while the transaction is open")
		if err := producer.EndTransaction(w.Context(), kgo.TryCommit); err != nil {
			w.Fatal(err)
		}
		<-time.After(25 * time.Second)
		w.expect("after it", "2 in minute 0")
	})
}
