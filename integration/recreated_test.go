package integration

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// TestStatelessInputIsRecreatedWhileRunning: the input of an application without stores
// is deleted and created again while the application processes one of its records. Run
// ends with an error. The next start processes all records of the new topic, once,
// whatever offset the group has kept of the former one.
func TestStatelessInputIsRecreatedWhileRunning(t *testing.T) {
	t.Parallel()
	for _, guarantee := range []millrace.Guarantee{millrace.ExactlyOnce, millrace.AtLeastOnce} {
		t.Run(guarantee.String(), func(t *testing.T) {
			t.Parallel()
			c := kafka(t)
			in, out, application := name(t, "in"), name(t, "out"), name(t, "app")
			c.createTopic(t, in, 1)
			c.createTopic(t, out, 1)
			c.cleanUp(t, application)
			send := func(texts ...string) {
				t.Helper()
				client := c.client(t) // a new one: it knows no former topic
				for _, text := range texts {
					if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: in, Value: []byte(text)}).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
			}
			reached, goOn := make(chan struct{}), make(chan struct{})
			reach := sync.OnceFunc(func() { close(reached) })
			b := topology.New()
			texts := topology.Source(b, in, serde.Bytes, serde.String)
			topology.MapValues(texts, func(text string) string {
				if text == "wait" {
					reach()
					<-goOn
				}
				return text
			}, serde.String).To(out)
			topo, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			newApp := func() *millrace.App {
				app, err := millrace.New(topo, millrace.Config{
					ApplicationID: application, Brokers: []string{c.brokers}, StateDir: t.TempDir(), Guarantee: guarantee,
					TransactionTimeout: time.Minute, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
				})
				if err != nil {
					t.Fatal(err)
				}
				return app
			}
			send("1", "2", "wait", "4", "5")
			ended := make(chan error, 1)
			app := newApp()
			go func() { ended <- app.Run(t.Context()) }()
			<-reached
			c.deleteTopic(t, in)
			c.createTopic(t, in, 1)
			var want []string
			for i := range 40 {
				want = append(want, fmt.Sprint("new ", i))
			}
			send(want...)
			close(goOn)
			if err := <-ended; err == nil || !strings.Contains(err.Error(), "topic "+in+" was deleted and created again while the application runs: restart the application") {
				t.Fatalf("Run: %v", err)
			}
			if err := c.finish(t, newApp(), application, in); err != nil {
				t.Fatalf("Run: %v", err)
			}
			var got []string
			c.committed(t, out, func(r *kgo.Record) { got = append(got, string(r.Value)) })
			if got = slices.DeleteFunc(got, func(text string) bool { return !strings.HasPrefix(text, "new") }); !slices.Equal(got, want) {
				t.Errorf("of the new topic, got %q", got)
			}
		})
	}
}
