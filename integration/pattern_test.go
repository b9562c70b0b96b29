package integration

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// TestPattern: two processes count the values of all topics that match. A topic with more
// partitions is created while they run. Then one process starts again within its session,
// with one more topic. Each record is counted once.
func TestPattern(t *testing.T) {
	t.Parallel()
	c := kafka(t)
	application, in, out := name(t, "app"), name(t, "in"), name(t, "out")
	c.createTopic(t, in+"-1", 2)
	c.createTopic(t, out, 2)
	c.cleanUp(t, application)
	b := topology.New()
	all := topology.SourcePattern(b, "all", regexp.QuoteMeta(in)+"-[0-9]", serde.String, serde.String)
	topology.GroupBy(all, "by-value", func(v string) string { return v }, serde.String).Count("counts").Stream().To(out)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	run := func(dir string) (stop func()) {
		app, err := millrace.New(topo, millrace.Config{ApplicationID: application, Brokers: []string{c.brokers}, StateDir: dir, OnClose: millrace.Stay,
			CommitInterval: 100 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- app.Run(ctx) }()
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	producer := c.client(t)
	want := map[string]int64{}
	send := func(topic string, n int) {
		t.Helper()
		for i := range n {
			value := keyOf(i % 7)
			r := &kgo.Record{Topic: topic, Key: []byte(keyOf(i)), Value: []byte(value)}
			if err := producer.ProduceSync(t.Context(), r).FirstErr(); err != nil {
				t.Fatal(err)
			}
			want[value]++
		}
	}
	counted := func() {
		t.Helper()
		for deadline := time.Now().Add(patience); ; pause(200 * time.Millisecond) {
			got := map[string]int64{}
			c.read(t, out, func(r *kgo.Record) {
				n, err := serde.Int64.Decode(r.Value)
				if err != nil {
					t.Error(err)
				}
				got[string(r.Key)] = max(got[string(r.Key)], n)
			})
			if maps.Equal(got, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	}
	first, second := filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "state")
	stopFirst, stopSecond := run(first), run(second)
	send(in+"-1", 20)
	counted()
	c.createTopic(t, in+"-2", 5)
	send(in+"-2", 20)
	counted()
	stopFirst()
	c.createTopic(t, in+"-3", 7)
	send(in+"-3", 20)
	stopFirst = run(first)
	counted()
	stopFirst()
	stopSecond()
}
