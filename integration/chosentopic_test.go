package integration

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// TestChosenTopics: records name topics that do not exist, or that cannot exist. The
// error policy skips them, with the default timeouts.
func TestChosenTopics(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	in, out, application := name(t, "in"), name(t, "out"), name(t, "app")
	c.createTopic(t, in, 1)
	c.createTopic(t, out, 1)
	c.cleanUp(t, application)
	b := topology.New()
	topology.Source(b, in, serde.String, serde.String).ToTopic(func(r processor.Record[string, string]) string { return r.Key })
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	client := c.client(t, kgo.ConsumeTopics(out), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	for _, topic := range []string{name(t, "missing"), "no topic!", "..", application + "-stores-registry", out} {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: in, Key: []byte(topic), Value: []byte(topic)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	app, err := millrace.New(topo, millrace.Config{
		ApplicationID: application, Brokers: []string{c.brokers}, StateDir: t.TempDir(), Errors: processor.ErrorPolicy{Produce: processor.Skip},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	waits, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got := client.PollFetches(waits).Records(); len(got) != 1 || string(got[0].Value) != out {
		t.Errorf("got %v", got)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
