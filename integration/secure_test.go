package integration

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// countsOverTLS runs an application whose clients all reach the cluster through the
// listener with TLS and SCRAM.
func (c *cluster) countsOverTLS(t *testing.T, user, password string) {
	const n, keys = 1000, 10
	application, in, out := name(t, "app"), name(t, "in"), name(t, "out")
	c.createTopic(t, in, 2)
	c.createTopic(t, out, 2)
	c.cleanUp(t, application)

	b := topology.New()
	lines := topology.Source(b, in, serde.String, serde.String)
	topology.GroupBy(lines, "by-value", func(v string) string { return v }, serde.String).Count("counts").Stream().To(out)
	built, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	app, err := millrace.New(built, millrace.Config{
		ApplicationID: application,
		Brokers:       []string{c.secure},
		StateDir:      filepath.Join(t.TempDir(), "state"),
		EveryUpdate:   true,
		Logger:        slog.New(slog.NewTextHandler(t.Output(), nil)),
		ClientOptions: []kgo.Opt{
			kgo.DialTLSConfig(c.tls.client()),
			kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism()),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	want := c.produceKeyed(t, in, n, keys)
	c.drained(t, nil, application, in, application+"-by-value-repartition")
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	c.checkCounts(t, out, want, scenario{every: true})
}
