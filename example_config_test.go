package millrace_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"os"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

func countWords() (*topology.Topology, topology.Table[string, int64]) {
	b := topology.New()
	counts := topology.GroupByKey(topology.Source(b, "words", serde.String, serde.String), "by-word").Count("counts")
	t, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}
	return t, counts
}

// TLS, SASL and other connection settings are options of the Kafka client. At-least-once
// needs no transactions.
func ExampleConfig() {
	t, _ := countWords()
	app, err := millrace.New(t, millrace.Config{
		ApplicationID: "words",
		Brokers:       []string{"broker-1:9093", "broker-2:9093"},
		StateDir:      "/var/lib/words",
		Guarantee:     millrace.AtLeastOnce,
		ClientOptions: []kgo.Opt{
			kgo.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS13}),
			kgo.SASL(scram.Auth{User: "words", Pass: os.Getenv("WORDS_PASSWORD")}.AsSha512Mechanism()),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(app.State())
	// Output: created
}

// commits counts committed records. An application uses such hooks for its metrics.
type commits struct{ records atomic.Int64 }

func (c *commits) OnCommit(commit millrace.Commit) {
	if commit.Err == nil {
		c.records.Add(commit.Records)
	}
}

// A query reads the rows that this process holds, as of the last commit. Hooks report
// events; Snapshot reports the present state.
func ExampleGet() {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "words"))
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()
	dir, err := os.MkdirTemp("", "millrace") // an application uses a directory that stays
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	t, counts := countWords()
	hook := new(commits)
	app, err := millrace.New(t, millrace.Config{ApplicationID: "words", Brokers: broker.ListenAddrs(), StateDir: dir, Hooks: []millrace.Hook{hook}})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()

	client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for range 3 {
		client.ProduceSync(ctx, &kgo.Record{Topic: "words", Key: []byte("kafka"), Value: []byte("")})
	}

	for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
		n, ok, err := millrace.Get(ctx, app, counts, "kafka")
		// Restoring, or held by another process.
		if err != nil && !errors.Is(err, millrace.ErrNotHere) {
			log.Fatal(err)
		}
		if ok && n == 3 {
			break
		}
	}
	for row, err := range millrace.Range(ctx, app, counts, nil, nil) {
		fmt.Println(row.Key, row.Value, err)
	}
	fmt.Println("tasks:", len(app.Snapshot().Tasks))
	cancel()
	fmt.Println(<-done)
	fmt.Println("committed:", hook.records.Load())
	// Output:
	// kafka 3 <nil>
	// tasks: 1
	// <nil>
	// committed: 3
}

// Two topics are read as one stream. The producers of one are up to five seconds late.
// With TaskIdle, the records of the other topic wait for them.
func ExampleConfig_taskIdle() {
	b := topology.New()
	both := topology.Sources(b, []string{"orders", "payments"}, serde.String, serde.String)
	topology.GroupByKey(both, "by-order").Count("events")
	t, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}
	app, err := millrace.New(t, millrace.Config{
		ApplicationID: "orders",
		Brokers:       []string{"broker-1:9092"},
		StateDir:      "/var/lib/orders",
		TaskIdle:      5 * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(app.State())
	// Output: created
}

// The group was idle for too long and the disks are gone, so Run has returned an error
// about lost offsets. One start with LostOffsets keeps the counts and continues with new
// records.
func ExampleRestart() {
	t, _ := countWords()
	app, err := millrace.New(t, millrace.Config{
		ApplicationID:   "words",
		Brokers:         []string{"broker-1:9092"},
		StateDir:        "/var/lib/words",
		LostOffsets:     millrace.RestartLatest,
		RecreatedInputs: millrace.RestartEarliest, // the words topic was created again
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(app.State())
	// Output: created
}
