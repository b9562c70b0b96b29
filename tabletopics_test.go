package millrace_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// TestTopicOfTableIsDeletedFrom: a warning says that the broker deletes records from the
// topic of a table. There is none for a topic that keeps the newest record of each key,
// or for the topic of a stream.
func TestTopicOfTableIsDeletedFrom(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		configs map[string]string
		warned  bool
	}{
		"compact":            {map[string]string{"cleanup.policy": "compact"}, false},
		"delete":             {map[string]string{"cleanup.policy": "delete"}, true},
		"compact and delete": {map[string]string{"cleanup.policy": "compact,delete"}, true},
		"kept forever":       {map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, c *cluster) {
				for _, topic := range []string{"users", "prices"} {
					if err := c.CreateTopic(topic, 1, test.configs); err != nil {
						t.Fatal(err)
					}
				}
				b := topology.New()
				users := topology.SourceTable(b, "users", serde.String, serde.String)
				prices := topology.GlobalTable(b, "prices", serde.String, serde.String)
				plus := func(a, b string) string { return a + b }
				known := topology.Join(topology.Source(b, "orders", serde.String, serde.String), users, plus, serde.String)
				topology.JoinGlobal(known, prices, func(v string) string { return v }, plus, serde.String).To("out")
				log := &logged{}
				cfg := c.config("app", t.TempDir())
				cfg.Logger = logTo(log)
				app := run(t, build(t, b), cfg)
				eventually(t, "it runs", func() bool { return app.State() == millrace.Running })
				for topic, want := range map[string]bool{"users": test.warned, "prices": test.warned, "orders": false} {
					if got := log.has("cleanup.policy=compact", "topic="+topic); got != want {
						t.Errorf("a warning of topic %s: %v, want %v", topic, got, want)
					}
				}
			}, kfake.SeedTopics(1, "orders", "out"))
		})
	}
}
