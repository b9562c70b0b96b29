package millrace

import (
	"context"
	"encoding/binary"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/kafkatest"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// deaf is a connection that holds back the group's requests.
type deaf struct {
	net.Conn
	held *atomic.Pointer[chan struct{}]
}

func (c deaf) Write(b []byte) (int, error) {
	const keyAt = 4 // behind the length
	if until := c.held.Load(); until != nil && len(b) > keyAt+2 {
		switch kmsg.Key(binary.BigEndian.Uint16(b[keyAt:])) {
		case kmsg.Heartbeat, kmsg.JoinGroup:
			<-*until
		}
	}
	return c.Conn.Write(b)
}

// The group has removed a process that is still alive. Before the process learns of this,
// its successor processes and purges the records that it wants to read next. This is not
// a loss of records.
func TestZombieWantsToReadWhatIsPurged(t *testing.T) {
	t.Parallel()
	dirs := []string{t.TempDir(), t.TempDir()}
	kafkatest.Virtual(t, func(t *testing.T, cluster *kafkatest.Cluster) {
		ctx, cl := t.Context(), cluster.Client()
		sent := 0
		send := func(n int) {
			for range n {
				if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "in", Key: []byte("k"), Value: []byte(strconv.Itoa(sent))}).FirstErr(); err != nil {
					t.Fatal(err)
				}
				sent++
			}
		}
		await := func(what string, holds func() bool) {
			t.Helper()
			for deadline := time.Now().Add(time.Minute); !holds(); pause(ctx, 50*time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("never: %s", what)
				}
			}
		}
		start := func(dir string, dial func(context.Context, string, string) (net.Conn, error)) (*App, context.CancelFunc, chan error) {
			b := topology.New()
			topology.GroupBy(topology.Source(b, "in", serde.String, serde.String), "same", func(string) string { return "k" }, serde.String).
				Count("counts", topology.EveryUpdate()).Stream().To("out")
			topo, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			app, err := New(topo, Config{
				ApplicationID: "app", Brokers: cluster.ListenAddrs(), StateDir: dir, Workers: 1, SessionTimeout: time.Second, ClientOptions: []kgo.Opt{kgo.Dialer(dial)},
			})
			if err != nil {
				t.Fatal(err)
			}
			app.seams.PurgeEvery = 200 * time.Millisecond
			running, stop := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- app.Run(running) }()
			return app, stop, ended
		}
		repartition := func() kfake.PartitionInfo { return *cluster.PartitionInfo("app-same-repartition", 0) }
		outputs := func() int64 { return cluster.PartitionInfo("out", 0).LastStableOffset }

		l := newLine(cluster.Net.DialContext)
		var held atomic.Pointer[chan struct{}]
		zombie, stopZombie, zombieEnded := start(dirs[0], func(ctx context.Context, network, host string) (net.Conn, error) {
			c, err := l.DialContext(ctx, network, host)
			return deaf{c, &held}, err
		})
		send(10)
		await("the first process works", func() bool { return outputs() >= 10 && repartition().LogStartOffset >= 10 })
		l.freeze()
		end := repartition().HighWatermark
		_, stop, ended := start(dirs[1], cluster.Net.DialContext)
		send(10)
		await("the second process works", func() bool { return repartition().LogStartOffset > end })
		before := outputs()
		heard := make(chan struct{})
		held.Store(&heard)
		l.thaw()
		pause(ctx, 10*time.Second)
		select {
		case err := <-zombieEnded:
			t.Fatalf("the process that was taken for dead: %v", err)
		default:
		}
		held.Store(nil)
		close(heard)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		send(10)
		await("the first process works again", func() bool { return outputs() > before && zombie.State() == Running })
		stopZombie()
		if err := <-zombieEnded; err != nil {
			t.Error(err)
		}
	}, kfake.SeedTopics(1, "in", "out"))
}
