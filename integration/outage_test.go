package integration

import (
	"context"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// docker runs a docker command on the broker's container. A paused container keeps its
// connections and answers nothing: a silent network.
func (c *cluster) docker(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("docker", command, c.broker.GetContainerID()).CombinedOutput(); err != nil {
		t.Fatalf("docker %s: %v\n%s", command, err, out)
	}
}

// A silent broker is reported within seconds. When it answers again, the application
// continues. If the broker is silent, Run ends within CloseTimeout.
func TestSilentBroker(t *testing.T) {
	if kafka(t).broker == nil {
		t.Skip("needs a broker in a container, to pause it")
	}
	t.Parallel()
	c, err := startSomewhere(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	in := name(t, "in")
	c.createTopic(t, in, 2)
	b := topology.New()
	topology.GroupByKey(topology.Source(b, in, serde.String, serde.String), "by-key").Count("counts")
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	const limit = 5 * time.Second
	const loaded = 20 * time.Second // what a loaded machine may add
	app, err := millrace.New(topo, millrace.Config{
		ApplicationID: name(t, "app"), Brokers: strings.Split(c.brokers, ","), StateDir: t.TempDir(), Workers: 2, CloseTimeout: limit,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	is := func(what string, holds func() bool) time.Duration {
		t.Helper()
		began := time.Now()
		for !holds() {
			if time.Since(began) > patience {
				t.Fatalf("never %s: %+v", what, app.Snapshot())
			}
			pause(100 * time.Millisecond)
		}
		return time.Since(began)
	}
	ready := func() bool { ok, _ := app.Ready(); return ok && len(app.Snapshot().Tasks) == 2 }
	unreachable := func() bool { return app.State() == millrace.Unreachable }

	is("ready", ready)
	if err := c.client(t).ProduceSync(t.Context(), &kgo.Record{Topic: in, Key: []byte("k")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.docker(t, "pause")
	if took := is("unreachable", unreachable); took > 15*time.Second+loaded {
		t.Errorf("an outage shows after %v", took)
	}
	if ok, reason := app.Live(); !ok {
		t.Errorf("not live: %s", reason)
	}
	c.docker(t, "unpause")
	is("ready again", ready)

	c.docker(t, "pause")
	is("unreachable again", unreachable)
	began := time.Now()
	stop()
	err = <-ended
	if took := time.Since(began); took > limit+loaded {
		t.Errorf("Run took %v to return, with %v", took, err)
	}
	c.docker(t, "unpause")
	if err != nil && !strings.Contains(err.Error(), "CloseTimeout") {
		t.Error(err)
	}
}
