package millrace_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// preload produces n records of some 40 bytes with the given number of distinct keys.
func (c *cluster) preload(topic string, n, keys int) {
	for i := range n {
		k := uint32(i) * 2654435761 % uint32(keys)
		r := &kgo.Record{Topic: topic, Key: fmt.Append(nil, "key-", k), Value: []byte("a value of some thirty bytes...."), Timestamp: time.UnixMilli(int64(i))}
		c.cl.Produce(context.Background(), r, nil)
	}
	if err := c.cl.Flush(context.Background()); err != nil {
		c.t.Fatal(err)
	}
}

// benchmark runs a topology over b.N records of "in". The broker runs in the same
// process, so the figures include its work.
func benchmark(b *testing.B, topo *topology.Topology) {
	c := newCluster(b, kfake.SeedTopics(8, "in", "out"))
	c.preload("in", b.N, 100_000)
	committed := func() (n int64) {
		for p := range int32(8) {
			n += max(c.committed("app", "in", p), 0)
		}
		return n
	}
	cfg := c.config("app", b.TempDir())
	cfg.CommitInterval = 100 * time.Millisecond
	cfg.Workers = 0
	b.ReportAllocs()
	b.ResetTimer()
	app := run(b, topo, cfg)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for committed() < int64(b.N) {
		select {
		case <-tick.C:
		case <-app.done:
			b.Fatal(app.err)
		}
	}
	b.StopTimer()
	app.stop()
}

func BenchmarkPassthrough(b *testing.B) {
	t := topology.New()
	topology.Source(t, "in", serde.Bytes, serde.Bytes).To("out")
	benchmark(b, build(b, t))
}

func BenchmarkCount(b *testing.B) {
	for _, every := range []bool{false, true} {
		b.Run(fmt.Sprintf("every=%v", every), func(b *testing.B) {
			t := topology.New()
			in := topology.Source(t, "in", serde.String, serde.Bytes)
			var opts []topology.TableOption
			if every {
				opts = append(opts, topology.EveryUpdate())
			}
			topology.GroupByKey(in, "by-key").Count("counts", opts...).Stream().To("out")
			benchmark(b, build(b, t))
		})
	}
}

// BenchmarkHandWritten is what passthrough is measured against: a consumer and a
// transactional producer.
func BenchmarkHandWritten(b *testing.B) {
	c := newCluster(b, kfake.SeedTopics(8, "in", "out"))
	c.preload("in", b.N, 100_000)
	b.ReportAllocs()
	b.ResetTimer()
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumerGroup("app"), kgo.ConsumeTopics("in"), kgo.TransactionalID("app"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	for n := 0; n < b.N; {
		if err := s.Begin(); err != nil {
			b.Fatal(err)
		}
		for began := time.Now(); time.Since(began) < 100*time.Millisecond && n < b.N; {
			s.PollRecords(ctx, 10000).EachRecord(func(r *kgo.Record) {
				s.Produce(ctx, &kgo.Record{Topic: "out", Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}, nil)
				n++
			})
		}
		if ok, err := s.End(ctx, kgo.TryCommit); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
