package txn

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/kafkatest"
)

// benchProducer makes a cluster, and a producer that is ready.
func benchProducer(b *testing.B, opts ...kfake.Opt) (*kafkatest.Cluster, *Producer) {
	c := kafkatest.New(b, append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(3, input, output, store)}, opts...)...)
	p, err := New(background, Config{Opts: c.Options(), TransactionalID: "app-1", Group: group})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.Close)
	if err := p.Init(background); err != nil {
		b.Fatal(err)
	}
	p.Track(store)
	return c, p
}

func BenchmarkProduce(b *testing.B) {
	_, p := benchProducer(b, kfake.BlackholeProduce())
	records := make([]kgo.Record, b.N)
	value := make([]byte, 100)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range records {
		r := &records[i]
		r.Topic, r.Value = store, value
		p.Produce(r)
	}
	if err := p.flush(background); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCommit measures a transaction: records of three partitions, the offsets, and
// the end. The figures are for one transaction.
func BenchmarkCommit(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) { benchCommit(b, n) })
	}
}

func benchCommit(b *testing.B, n int) {
	c, p := benchProducer(b)
	member := join(b, c.Client(), group, "")
	value := make([]byte, 100)
	b.ReportAllocs()
	for i := int64(1); b.Loop(); i++ {
		for j := range n {
			p.Produce(&kgo.Record{Topic: store, Partition: int32(j % 3), Value: value})
		}
		if _, err := p.Commit(background, member, at(i)); err != nil {
			b.Fatal(err)
		}
	}
}
