package main

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/examples/internal/exampletest"
	"github.com/millrace-streams/millrace/internal/kafkatest"
)

// The program counts words until it is interrupted.
func TestMain_counts(t *testing.T) {
	cluster := kafkatest.New(t, kfake.SeedTopics(4, "lines", "word-counts"))
	t.Chdir(t.TempDir())
	t.Setenv("BROKER", cluster.ListenAddrs()[0])
	ended := make(chan struct{})
	go func() { main(); close(ended) }()

	ctx, cancel := context.WithTimeout(t.Context(), exampletest.Patience)
	defer cancel()
	client := cluster.Client(kgo.ConsumeTopics("word-counts"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	for _, line := range []string{"Kafka is a log", "a log is a file"} {
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: "lines", Value: []byte(line)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	counts := map[string]uint64{}
	for counts["a"] < 3 || counts["log"] < 2 || counts["file"] < 1 {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			counts[string(r.Key)] = binary.BigEndian.Uint64(r.Value)
		})
		if ctx.Err() != nil {
			t.Fatalf("the counts are %v", counts)
		}
	}
	if counts["kafka"] != 1 {
		t.Errorf("kafka was counted %d times", counts["kafka"])
	}

	exampletest.Interrupt(t)
	select {
	case <-ended:
	case <-time.After(exampletest.Patience):
		t.Fatal("the program goes on after an interrupt")
	}
}
