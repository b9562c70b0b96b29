package millrace

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// While the brokers are away in the middle of the first reading of a global topic, state,
// probe and log say so. When they are back, the reading continues, and then the
// processing begins.
func TestOutageWhileGlobalTableIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kafkatest.Virtual(t, func(t *testing.T, cluster *kafkatest.Cluster) {
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		client := cluster.Client()
		send := func(topic, key, value string) {
			t.Helper()
			if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		send("prices", "tea", "3")
		send("orders", "o", "tea")

		b := topology.New()
		prices := topology.GlobalTable(b, "prices", serde.String, serde.String)
		orders := topology.Source(b, "orders", serde.String, serde.String)
		topology.JoinGlobal(orders, prices, func(item string) string { return item }, func(item, price string) string { return item + price }, serde.String).To("out")
		topo, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		net, heard := &network{dial: cluster.Net.DialContext, lines: map[string]*line{}}, &heard{}
		app, err := New(topo, Config{
			ApplicationID: "app", Brokers: cluster.ListenAddrs(), StateDir: dir, Workers: 1, CloseTimeout: 5 * time.Second,
			Hooks: []Hook{heard, severOnRestore{net, new(sync.Once)}}, Logger: logInto(heard), ClientOptions: []kgo.Opt{kgo.Dialer(net.DialContext)},
		})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- app.Run(ctx) }()

		<-time.After(30 * time.Second)
		ready, reason := app.Ready()
		_, logged := heard.last("the start waits for the topic of a global store")
		if s := app.Snapshot(); s.State != Unreachable || ready || !strings.Contains(reason, "out of reach") || !s.Globals[0].Restoring || !logged {
			t.Errorf("state %v, ready %v: %s, snapshot %+v, logged %v", s.State, ready, reason, s.Globals, logged)
		}
		if _, _, err := Get(ctx, app, prices, "tea"); err == nil || !strings.Contains(err.Error(), "being read for the first time") {
			t.Errorf("Get: %v", err)
		}
		for _, l := range net.lines {
			l.mend()
		}
		<-time.After(30 * time.Second)
		if ready, reason := app.Ready(); !ready {
			t.Errorf("not ready: %s", reason)
		}
		if v, _, err := Get(ctx, app, prices, "tea"); v != "3" || err != nil {
			t.Errorf("Get: %s, %v", v, err)
		}
		out := cluster.Client(kgo.ConsumeTopics("out"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
		if r := out.PollFetches(ctx).Records(); len(r) != 1 || string(r[0].Value) != "tea3" {
			t.Errorf("out has %v", r)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}, kfake.SeedTopics(1, "prices", "orders", "out"))
}

// severOnRestore cuts all lines when the reading of a global topic begins.
type severOnRestore struct {
	net  *network
	once *sync.Once
}

func (s severOnRestore) OnRestoreProgress(p RestoreProgress) {
	if !p.Task.Global() {
		return
	}
	s.once.Do(func() {
		s.net.mu.Lock()
		defer s.net.mu.Unlock()
		for _, l := range s.net.lines {
			l.sever()
		}
	})
}
