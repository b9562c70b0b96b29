package millrace_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// A versioned table can be asked what a row was at an earlier time.
func ExampleGetAsOf() {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "prices"))
	if err != nil {
		log.Fatal(err)
	}
	defer broker.Close()
	dir, err := os.MkdirTemp("", "millrace") // an application uses a directory that stays
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	b := topology.New()
	prices := topology.SourceTable(b, "prices", serde.String, serde.String, topology.Versioned(24*time.Hour))
	t, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}
	app, err := millrace.New(t, millrace.Config{ApplicationID: "shop", Brokers: broker.ListenAddrs(), StateDir: dir})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()

	client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.DefaultProduceTopic("prices"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	hour := func(n int) time.Time { return time.Unix(int64(3600*n), 0) }
	for _, r := range []struct {
		price string
		hour  int
	}{{"3", 1}, {"5", 9}, {"4", 6}} { // the last one comes late
		client.ProduceSync(ctx, &kgo.Record{Key: []byte("tea"), Value: []byte(r.price), Timestamp: hour(r.hour)})
	}

	var row millrace.Row[string, string]
	for tick := time.NewTicker(20 * time.Millisecond); row.Value != "4"; <-tick.C {
		// An error is ErrNotHere: the task is not here yet.
		row, _, _ = millrace.GetAsOf(ctx, app, prices, "tea", hour(7))
	}
	for _, h := range []int{0, 2, 7, 10} {
		row, ok, err := millrace.GetAsOf(ctx, app, prices, "tea", hour(h))
		fmt.Println(h, row.Value, row.Timestamp, ok, err)
	}
	cancel()
	fmt.Println(<-done)
	// Output:
	// 0  1970-01-01T00:00:00.000Z false <nil>
	// 2 3 1970-01-01T01:00:00.000Z true <nil>
	// 7 4 1970-01-01T06:00:00.000Z true <nil>
	// 10 5 1970-01-01T09:00:00.000Z true <nil>
	// <nil>
}
