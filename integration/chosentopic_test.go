package integration

import (
	"log/slog"
	"testing"

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
	client := c.client(t)
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
	if err := c.finish(t, app, application, in); err != nil {
		t.Errorf("Run: %v", err)
	}
	var got []string
	c.committed(t, out, func(r *kgo.Record) { got = append(got, string(r.Value)) })
	if len(got) != 1 || got[0] != out {
		t.Errorf("got %q", got)
	}
}
