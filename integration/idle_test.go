package integration

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// TestIdleInput: on real Kafka too, the last window of a quiet topic closes, and stays
// closed for a process that starts with an empty disk.
func TestIdleInput(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	in, out, id := name(t, "in"), name(t, "out"), name(t, "app")
	c.createTopic(t, in, 1)
	c.createTopic(t, out, 1)
	c.cleanUp(t, id)
	b := topology.New()
	grouped := topology.GroupBy(topology.Source(b, in, serde.String, serde.String), "by-value", func(v string) string { return v }, serde.String)
	counts := grouped.Window(topology.Tumbling(10*time.Second)).Count("counts", topology.IdleAfter(2*time.Second)).Final()
	topology.Map(counts.Stream(), func(r processor.Record[serde.Windowed[string], int64]) processor.Record[string, string] {
		return processor.NewRecord(r.Key.Key, fmt.Sprintf("%d from %d", r.Value, r.Key.Window.Start/1000), r.Timestamp)
	}, serde.String, serde.String).To(out)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	client := c.client(t)
	// The records of a call are one batch. On a slow machine, the time between two calls
	// could close a window.
	send := func(seconds ...int64) {
		var records []*kgo.Record
		for _, second := range seconds {
			records = append(records, &kgo.Record{Topic: in, Key: []byte("k"), Value: []byte("v"), Timestamp: time.Unix(second, 0)})
		}
		if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	run := func() (stop func()) {
		app, err := millrace.New(topo, millrace.Config{ApplicationID: id, Brokers: []string{c.brokers}, StateDir: t.TempDir(), Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		return runApp(t, app)
	}
	now := time.Now().Unix() / 10 * 10
	results := c.client(t, kgo.ConsumeTopics(out), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	expect := func(want string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var got []string
		for len(got) == 0 && ctx.Err() == nil {
			results.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
		}
		if !slices.Equal(got, []string{want}) {
			t.Errorf("got %q, want %q", got, want)
		}
	}

	stop := run()
	send(now+6, now+7)
	expect(fmt.Sprintf("2 from %d", now))
	stop()
	defer run()()
	send(now+8, now+15) // the first is late
	expect(fmt.Sprintf("1 from %d", now+10))
}

// runApp runs an application until stop is called.
func runApp(t *testing.T, app *millrace.App) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}
