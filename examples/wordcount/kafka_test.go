package main

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/examples/internal/broker"
	"github.com/millrace-streams/millrace/examples/internal/exampletest"
)

// kafka is a broker with the topic of lines, and everything that the program's inputs
// need to write to it.
type kafka struct {
	brokers []string
	client  *kgo.Client         // the program's
	said    *exampletest.Screen // log of the inputs
	log     *slog.Logger
}

func newKafka(t *testing.T) *kafka {
	t.Helper()
	brokers, stop, err := broker.Embedded(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return kafkaAt(t, brokers)
}

func kafkaAt(t *testing.T, brokers []string) *kafka {
	t.Helper()
	client, err := producer(brokers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if err := broker.Create(t.Context(), client, partitions, lines); err != nil {
		t.Fatal(err)
	}
	said := exampletest.NewScreen()
	return &kafka{brokers: brokers, client: client, said: said, log: slog.New(slog.NewTextHandler(said, nil))}
}

// start runs inputs. The returned function ends them and checks that they end without an
// error.
func (k *kafka) start(t *testing.T, inputs ...input) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- readAll(ctx, inputs, k.client, k.log) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// lines returns all lines in the topic, sorted.
func (k *kafka) lines(t *testing.T) []string {
	t.Helper()
	reader, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.ConsumeTopics(lines))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ends, err := kadm.NewClient(reader).ListEndOffsets(t.Context(), lines)
	if err != nil {
		t.Fatal(err)
	}
	missing := int64(0)
	ends.Each(func(end kadm.ListedOffset) { missing += end.Offset })
	var got []string
	for int64(len(got)) < missing {
		fetches := reader.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for r := range fetches.RecordsAll() {
			got = append(got, string(r.Value))
		}
	}
	slices.Sort(got)
	return got
}
