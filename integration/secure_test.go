package integration

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// countsOverTLS runs an application whose clients all reach the cluster through the
// listener with TLS and SCRAM. The user may do what the documentation lists, and no more,
// so a refusal in the log is a fault of the documentation.
func (c *cluster) countsOverTLS(t *testing.T, user, password string, guarantee millrace.Guarantee) {
	const n, keys = 1000, 10
	application, in, labels, out := name(t, "app"), name(t, "in"), name(t, "labels"), name(t, "out")
	c.createTopic(t, in, 2)
	c.createTopic(t, labels, 2)
	c.createTopic(t, out, 2)
	c.cleanUp(t, application)
	c.granted(t, user, application, in, labels, out)
	var log refusalsInLog

	b := topology.New()
	lines := topology.Source(b, in, serde.String, serde.String)
	known := topology.GlobalTable(b, labels, serde.String, serde.String)
	lines = topology.LeftJoinGlobal(lines, known, func(v string) string { return v }, func(v, _ string, _ bool) string { return v }, serde.String)
	topology.GroupBy(lines, "by-value", func(v string) string { return v }, serde.String).Count("counts").Stream().To(out)
	built, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	app, err := millrace.New(built, millrace.Config{
		ApplicationID: application,
		Brokers:       []string{c.secure},
		StateDir:      filepath.Join(t.TempDir(), "state"),
		Guarantee:     guarantee,
		EveryUpdate:   true,
		Logger:        slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), &log), nil)),
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
	if n := log.lines.Load(); n > 0 {
		t.Errorf("%d lines of the log report a failed authorization", n)
	}
}

// refusalsInLog counts the lines of a log that report a missing permission.
type refusalsInLog struct{ lines atomic.Int64 }

func (l *refusalsInLog) Write(line []byte) (int, error) {
	if bytes.Contains(bytes.ToUpper(line), []byte("AUTHORIZ")) {
		l.lines.Add(1)
	}
	return len(line), nil
}
