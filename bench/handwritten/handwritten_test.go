package main

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/kafkatest"
)

// Both workloads count rightly, also after a restart, which restores the counts from the
// changelog.
func TestCounts(t *testing.T) {
	t.Parallel()
	for workload, want := range map[string]map[string]uint64{
		"count":     {"k0": 2, "k1": 2},
		"wordcount": {"a": 4, "b": 2, "c": 2},
	} {
		t.Run(workload, func(t *testing.T) {
			t.Parallel()
			cluster := kafkatest.New(t, kfake.SeedTopics(2, "in", "out"))
			env := map[string]string{"BROKERS": cluster.ListenAddrs()[0], "APP_ID": "app", "STATE_DIR": t.TempDir(),
				"WORKLOAD": workload, "EOS": "true", "THREADS": "2", "INPUT": "in", "OUTPUT": "out"}
			c, err := parse(func(name string) string { return env[name] })
			check(t, err)
			for start := range uint64(2) {
				send(t, cluster, "k0", "a b", "k1", "a c", "k0", "a b", "k1", "a c")
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- run(ctx, c) }()
				for key, n := range want {
					waitFor(t, cluster, key, n*(start+1))
				}
				cancel()
				check(t, <-ended)
			}
		})
	}
}

// send produces records, given as keys and values in turns.
func send(t *testing.T, c *kafkatest.Cluster, keysAndValues ...string) {
	t.Helper()
	cl := c.Client()
	for i := 0; i < len(keysAndValues); i += 2 {
		r := &kgo.Record{Topic: "in", Key: []byte(keysAndValues[i]), Value: []byte(keysAndValues[i+1])}
		check(t, cl.ProduceSync(t.Context(), r).FirstErr())
	}
}

// waitFor waits until the committed output has a count, and fails if it has a larger one
// before.
func waitFor(t *testing.T, c *kafkatest.Cluster, key string, want uint64) {
	t.Helper()
	cl := c.Client(kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer cl.Close()
	for {
		for _, r := range cl.PollFetches(t.Context()).Records() {
			got := binary.BigEndian.Uint64(r.Value)
			switch {
			case string(r.Key) != key:
			case got > want:
				t.Fatalf("the count of %s is %d, want %d", key, got, want)
			case got == want:
				return
			}
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, env := range map[string]map[string]string{
		"another workload": {"WORKLOAD": "hopping", "EOS": "true"},
		"at least once":    {"WORKLOAD": "count"},
		"threads":          {"WORKLOAD": "count", "EOS": "true", "THREADS": "none"},
		"commit":           {"WORKLOAD": "count", "EOS": "true", "COMMIT_MS": "0"},
	} {
		if _, err := parse(func(name string) string { return env[name] }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
