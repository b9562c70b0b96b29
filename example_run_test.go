package millrace_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// This program writes each line in upper case to another topic. The broker is a fake in
// the same process.
func ExampleApp_Run() {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "lines", "shouted"))
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
	lines := topology.Source(b, "lines", serde.String, serde.String)
	topology.MapValues(lines, strings.ToUpper, serde.String).To("shouted")
	t, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}
	app, err := millrace.New(t, millrace.Config{ApplicationID: "shout", Brokers: broker.ListenAddrs(), StateDir: dir})
	if err != nil {
		log.Fatal(err)
	}
	// An application uses signal.NotifyContext.
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- app.Run(ctx) }()

	client, err := kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.ConsumeTopics("shouted"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	client.ProduceSync(ctx, &kgo.Record{Topic: "lines", Key: []byte("1"), Value: []byte("hello")})
	for n := 0; n < 1; {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			fmt.Printf("%s: %s\n", r.Key, r.Value)
			n++
		})
	}
	cancel() // Run drains, commits, leaves the group
	fmt.Println(<-done)
	// Output:
	// 1: HELLO
	// <nil>
}
